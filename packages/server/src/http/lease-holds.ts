import { isWaymarkError, WaymarkError } from 'waymark';
import type { Clock, Host, Lease, Random } from 'waymark/engine';
import { repeat } from './streams.js';

/** What routes need that take holds for those without a client library. */
export interface HoldParts {
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

/** Under what a hold is to stand: one of both. */
export interface LeaseBody {
  /** One of the caller's, who renews it. */
  readonly lease?: number;
  /** A new one. */
  readonly ttlMs?: number;
}

/**
 * Takes a hold under the lease given, or under a new one, which is kept alive while the request waits, and goes again when nothing is taken.
 *
 * @returns what `take` did; with the TTL of a new lease, which counts from the answer on
 */
export async function underLease<T extends object>(
  { host, clock }: HoldParts,
  body: LeaseBody,
  take: (lease: number) => Promise<T>,
): Promise<T & { readonly lease: number; readonly ttlMs?: number }> {
  if ((body.lease === undefined) === (body.ttlMs === undefined)) {
    throw new WaymarkError(
      'invalid',
      'a hold takes either lease, one of yours, or ttlMs for a new one',
    );
  }
  if (body.lease !== undefined) return { ...(await take(body.lease)), lease: body.lease };
  const own = await host.grant(body.ttlMs ?? 0);
  const still = keepAlive(host, clock, own);
  try {
    const taken = await take(own.id);
    await host.renew(own.id);
    return { ...taken, lease: own.id, ttlMs: own.ttlMs };
  } catch (error) {
    await host.revoke(own.id).catch(() => undefined);
    throw error;
  } finally {
    still();
  }
}

/** With the release of a hold; that it has ended already does not matter. */
export async function endLease(host: Host, lease: number): Promise<void> {
  await host.revoke(lease).catch((error: unknown) => {
    if (!isWaymarkError(error, 'not_found')) throw error;
  });
}

function keepAlive(host: Host, clock: Clock, lease: Lease): () => void {
  return repeat(clock, lease.ttlMs / 3, () => {
    // A lease that is gone ends the wait itself, with `lost`.
    host.renew(lease.id).catch(() => undefined);
  });
}
