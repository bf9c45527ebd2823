import type { RecipeCall } from '../core/recipe-call.js';
import { barrierCalls } from './barrier.js';
import { counterCalls } from './counter.js';
import { electionCalls } from './election.js';
import { logCalls } from './log.js';

/** Every recipe's calls but the lock's, which has methods of its own: a server offers them all. */
export const recipeCalls = [
  ...electionCalls,
  ...logCalls,
  ...counterCalls,
  ...barrierCalls,
] as unknown as readonly RecipeCall<unknown, unknown>[];
