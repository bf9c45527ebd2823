import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';

export interface WaitBounds {
  /** What is waited for. */
  readonly path: string;
  /** Absent: as long as it takes. */
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs `wait` until it ends, the caller's signal aborts or the time to wait is over; what it waited with is given up before
 * this rejects.
 *
 * @throws {WaymarkError} `timeout`; the signal's reason
 */
export async function waiting<T>(
  clock: Clock,
  bounds: WaitBounds,
  giveUp: () => Promise<unknown>,
  wait: (ended: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const { waitMs, signal } = bounds;
  if (waitMs === undefined) return await orGiveUp(wait(signal), giveUp);
  const ended = new AbortController();
  const abort = (): void => ended.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  const disarm = clock.after(waitMs, () => ended.abort(late(bounds)));
  try {
    return await orGiveUp(wait(ended.signal), giveUp);
  } finally {
    disarm();
    signal?.removeEventListener('abort', abort);
  }
}

async function orGiveUp<T>(work: Promise<T>, giveUp: () => Promise<unknown>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    await giveUp();
    throw error;
  }
}

function late({ path, waitMs }: WaitBounds): WaymarkError {
  return new WaymarkError('timeout', `${path} was not free within ${waitMs} ms`, { path });
}
