import { isWaymarkError, WaymarkError } from 'waymark';
import type { Clock, Host, Lease, LeaseId, Random } from 'waymark/engine';
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

/**
 * Takes something under the lease that was asked for. A new one is kept alive while the request waits, its TTL counts from the answer,
 * and it goes again when nothing was taken.
 *
 * @throws {WaymarkError} `invalid`; what `take` throws
 */
export async function underLease<T>(
  { host, clock }: HoldParts,
  asked: AskedLease,
  take: (lease: LeaseId) => Promise<T>,
): Promise<{ readonly taken: T; readonly under: RequestLease }> {
  if ((asked.lease === undefined) === (asked.ttlMs === undefined)) {
    throw new WaymarkError('invalid', 'take either lease, one of yours, or ttlMs for a new one');
  }
  if (asked.lease !== undefined) {
    return { taken: await take(asked.lease), under: { lease: asked.lease } };
  }
  const own = await host.grant(asked.ttlMs ?? 0);
  const still = keepAlive(host, clock, own);
  try {
    const taken = await take(own.id);
    await host.renew(own.id);
    return { taken, under: { lease: own.id, ttlMs: own.ttlMs } };
  } catch (error) {
    await host.revoke(own.id).catch(() => undefined);
    throw error;
  } finally {
    still();
  }
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
