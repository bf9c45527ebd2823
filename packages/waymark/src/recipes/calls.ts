import type { RecipeCall } from '../core/recipe-call.js';
import { electionCalls } from './election.js';
import { namesCalls } from './names.js';

/** Every recipe's calls but the lock's, which has methods of its own: a server offers them all. */
export const recipeCalls = [...electionCalls, ...namesCalls] as unknown as readonly RecipeCall<
  unknown,
  unknown
>[];
