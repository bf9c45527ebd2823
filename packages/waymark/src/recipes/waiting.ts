import type { Clock } from '../core/clock.js';
import type { Batch, Engine, KeyRange, WatchOptions } from '../core/engine.js';
import { isWaymarkError, leftToLease, unanswered, WaymarkError } from '../core/errors.js';

export interface WaitBounds {
  /** What is waited for. */
  readonly path: string;
  /** Absent: as long as it takes. */
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs `wait` until it ends, the caller's signal aborts or the time to wait is over; what it waited with is given up before
 * this rejects, unless it is left to its lease.
 *
 * @param giveUp  false when there was nothing left to give up: it was granted meanwhile, or another waits with it
 * @throws {WaymarkError} `timeout`, or why it could not be given up by then: `uncertain` when another wait for it has it; the signal's reason
 */
export async function waiting<T>(
  clock: Clock,
  bounds: WaitBounds,
  giveUp: () => Promise<boolean>,
  wait: (ended: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const { waitMs, signal } = bounds;
  const timed =
    waitMs === undefined ? undefined : withTime(clock, waitMs, signal, () => late(bounds));
  try {
    return await wait(timed === undefined ? signal : timed.signal);
  } catch (error) {
    if (bounds.signal?.reason === leftToLease) throw error;
    let left = true;
    try {
      left = await giveUp();
    } catch (failed) {
      // Who was told of a timeout would think that nothing is left: it is to give it back (space/holder.ts).
      if (unanswered(failed) && isWaymarkError(error, 'timeout')) throw failed;
    }
    if (!left && isWaymarkError(error, 'timeout')) throw hadByAnother(bounds);
    throw error;
  } finally {
    timed?.stop();
  }
}

function hadByAnother({ path }: WaitBounds): WaymarkError {
  const why = 'it was granted, or asked for again over another server';
  const text = `the time to wait for ${path} was over as ${why}: ask again with the same id, or give it back`;
  return new WaymarkError('uncertain', text, { path });
}

/**
 * Watches until `found` answers. @returns null when history was dropped under the watch: look at the present instead
 */
export async function waitForChange<T>(
  engine: Pick<Engine, 'watch'>,
  ranges: readonly KeyRange[],
  options: WatchOptions,
  found: (batch: Batch) => T | null,
): Promise<T | null> {
  try {
    for await (const batch of engine.watch(ranges, options)) {
      const answer = found(batch);
      if (answer !== null) return answer;
    }
  } catch (error) {
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
  return null;
}

/** Aborts with the caller's signal, or when the time is over: a third of what AbortSignal.any costs, and nothing is left behind. */
export function withTime(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  late?: () => unknown,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const ended = new AbortController();
  const abort = (): void => ended.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  const disarm = clock.after(ms, () => ended.abort(late?.()));
  const stop = (): void => {
    disarm();
    signal?.removeEventListener('abort', abort);
  };
  return { signal: ended.signal, stop };
}

function late({ path, waitMs }: WaitBounds): WaymarkError {
  return new WaymarkError('timeout', `${path} was not free within ${waitMs} ms`, { path });
}
