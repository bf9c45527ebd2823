import { isWaymarkError, WaymarkError } from 'waymark';
import {
  type Clock,
  type Host,
  type Lease,
  type LeaseId,
  leftToLease,
  type Random,
  unanswered,
} from 'waymark/engine';
import { repeat } from './streams.js';

/** What holds taken by a request need. */
export interface HoldParts {
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  readonly stopping: AbortSignal;
}

/** One of the caller's own, or with `ttlMs` a new one. */
export interface AskedLease {
  readonly lease?: LeaseId;
  readonly ttlMs?: number;
}

/** What a hold is taken under, as its answer tells it. */
export interface RequestLease {
  readonly lease: LeaseId;
  /** Of a new one. */
  readonly ttlMs?: number;
}

/** What becomes of what a request takes whose client is gone. */
export interface CutOff {
  readonly gone: AbortSignal;
  /** The client can find it again with a lease and an id of its own: then it is left to that lease. */
  readonly findable: boolean;
  /** Else nobody is left to be told, and it must not stay behind. */
  readonly giveBack: (lease: LeaseId) => Promise<unknown>;
}

/**
 * Takes something under the lease that was asked for. A new one is kept alive while the request waits, its TTL counts from the answer,
 * and it goes again when nothing was taken.
 *
 * @throws {WaymarkError} `invalid`; what `take` throws
 */
export async function underLease<T>(
  { host, clock }: HoldParts,
  asked: AskedLease,
  cutOff: CutOff,
  take: (lease: LeaseId, gone: AbortSignal) => Promise<T>,
): Promise<{ readonly taken: T; readonly under: RequestLease }> {
  if ((asked.lease === undefined) === (asked.ttlMs === undefined)) {
    throw new WaymarkError('invalid', 'take either lease, one of yours, or ttlMs for a new one');
  }
  if (asked.lease !== undefined) {
    const taken = await takeUnder(asked.lease, cutOff, take);
    return { taken, under: { lease: asked.lease } };
  }
  const own = await host.grant(asked.ttlMs ?? 0);
  const still = keepAlive(host, clock, own);
  try {
    const taken = await takeForSomeone(own.id, cutOff, take);
    await host.renew(own.id);
    return { taken, under: { lease: own.id, ttlMs: own.ttlMs } };
  } catch (error) {
    await host.revoke(own.id).catch(() => undefined);
    throw error;
  } finally {
    still();
  }
}

async function takeUnder<T>(
  lease: LeaseId,
  cutOff: CutOff,
  take: (lease: LeaseId, gone: AbortSignal) => Promise<T>,
): Promise<T> {
  const { gone, findable, giveBack } = cutOff;
  try {
    if (findable) return await take(lease, leftWhen(gone));
    return await takeForSomeone(lease, cutOff, take);
  } catch (error) {
    if (error === leftToLease) throw gone.reason;
    // Nobody knows the id that it was asked for with.
    if (!findable && unanswered(error)) await giveBack(lease).catch(() => undefined);
    throw error;
  }
}

async function takeForSomeone<T>(
  lease: LeaseId,
  { gone, giveBack }: CutOff,
  take: (lease: LeaseId, gone: AbortSignal) => Promise<T>,
): Promise<T> {
  const taken = await take(lease, gone);
  if (!gone.aborted) return taken;
  await giveBack(lease);
  throw gone.reason;
}

function leftWhen(gone: AbortSignal): AbortSignal {
  const wait = new AbortController();
  const leave = (): void => wait.abort(leftToLease);
  if (gone.aborted) leave();
  else gone.addEventListener('abort', leave, { once: true });
  return wait.signal;
}

/** Ends it; that it may have ended already does not matter. */
export async function endLease(host: Host, lease: LeaseId): Promise<void> {
  await host.revoke(lease).catch((error: unknown) => {
    if (!isWaymarkError(error, 'not_found')) throw error;
  });
}

export function keepAlive(host: Host, clock: Clock, lease: Lease): () => void {
  return repeat(clock, lease.ttlMs / 3, () => {
    // A lease that is gone ends the wait itself, with `lost`.
    host.renew(lease.id).catch(() => undefined);
  });
}
