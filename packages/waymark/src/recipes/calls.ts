import type { RecipeCall } from '../core/recipe-call.js';
import { barrierCalls } from './barrier.js';
import { counterCalls } from './counter.js';
import { electionCalls } from './election.js';
import { logCalls } from './log.js';
import { memberCalls } from './members.js';
import { messageCalls } from './messages.js';
import { namesCalls } from './names.js';
import { onceCalls } from './once.js';
import { scheduleCalls } from './schedule.js';
import { semaphoreCalls } from './semaphore.js';
import { stashCalls } from './stash.js';
import { streamCalls } from './streams.js';
import { watcherCalls } from './watchers.js';

/** Every recipe's calls but the lock's, which has methods of its own: a server offers them all. */
export const recipeCalls = [
  ...electionCalls,
  ...memberCalls,
  ...messageCalls,
  ...streamCalls,
  ...namesCalls,
  ...onceCalls,
  ...scheduleCalls,
  ...semaphoreCalls,
  ...logCalls,
  ...counterCalls,
  ...barrierCalls,
  ...watcherCalls,
  ...stashCalls,
] as unknown as readonly RecipeCall<unknown, unknown>[];
