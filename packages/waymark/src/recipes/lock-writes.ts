import type { Clock } from '../core/clock.js';
import type { ByteString, Engine, LeaseId, Operation, Outcome } from '../core/engine.js';
import type { HeldKeys } from '../core/host.js';
import { settled, settledValue } from '../core/settled.js';
import type { LockPlans, RequestKeys } from './lock-plan.js';
import { checkHold } from './lock-request.js';
import type { Wording } from './wording.js';

/** Where the locks of one namespace stand. */
export interface LockGround {
  /** The whole engine: plans name its keys. */
  readonly engine: Engine;
  readonly plans: LockPlans;
  readonly clock: Clock;
  readonly words: Wording;
  /** What explanations look at: the namespace alone. */
  readonly namespace: Engine;
}

/** Whose: the value and lease of places and marks. */
export interface Leased {
  readonly value: ByteString;
  readonly lease: LeaseId;
}

export function put(key: ByteString, { value, lease }: Leased): Operation {
  return { type: 'put', key, value, lease };
}

export function grantOperations(keys: RequestKeys, by: Leased): Operation[] {
  return [put(keys.place, by), put(keys.mark, by)];
}

export function removal(keys: RequestKeys): Operation[] {
  return [
    { type: 'delete', key: keys.place },
    { type: 'delete', key: keys.mark },
  ];
}

/** Whatever mode it has, or waits to have. */
export function removalInBoth(plans: LockPlans, hold: HeldKeys): Operation[] {
  const modes = ['shared', 'exclusive'] as const;
  return modes.flatMap((mode) => removal(plans.of({ ...hold, mode }).keysOf(hold.id)));
}

/** A shared hold may be about to be upgraded, or be upgraded already without its holder knowing: that goes with it. @returns false when nothing was held or waited for */
export function release({ engine, plans }: LockGround, hold: HeldKeys): Promise<boolean> {
  try {
    checkHold(hold);
    const exclusive = hold.mode === 'exclusive';
    const apply = exclusive ? removal(plans.of(hold).keysOf(hold.id)) : removalInBoth(plans, hold);
    const removed = engine.commit({ apply });
    const outcome = settledValue(removed);
    return outcome === undefined ? removed.then(tellsOfRemoval) : settled(tellsOfRemoval(outcome));
  } catch (error) {
    return Promise.reject(error as Error);
  }
}

function tellsOfRemoval({ results }: Outcome): boolean {
  return results.some((result) => result.type === 'delete' && result.deleted > 0);
}
