import type { Clock } from '../core/clock.js';
import type { Entry, KeyRange, Revision } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { positionsRange, waiterKey } from '../space/names-layout.js';
import { askAgain, unlessAskedAgain } from './asked-again.js';
import { encodeParty } from './lock-queue.js';
import { type Look, lookOf, readsFor } from './names-look.js';
import { type Claimed, stillStands, take, type TakeParts } from './names-take.js';
import { type WaitBounds, waiting } from './waiting.js';

/**
 * Waits in line for a name. Who stands first watches the positions, everybody else the place before its own: a freed name wakes one,
 * and what that one takes lets the next step forward.
 */
export async function standInLine(
  parts: TakeParts,
  clock: Clock,
  bounds: WaitBounds,
): Promise<Claimed> {
  const { engine, args } = parts;
  const { look, asked } = await enter(parts, bounds.signal);
  const leave = unlessAskedAgain(waiterKey(args.path, args.id), asked);
  return await waiting(
    clock,
    bounds,
    async () => (await engine.commit(leave)).succeeded,
    (ended) => stepForward(parts, look, ended),
  );
}

async function stepForward(
  parts: TakeParts,
  entered: Look,
  signal: AbortSignal | undefined,
): Promise<Claimed> {
  const { engine, args } = parts;
  const { path } = args;
  const key = waiterKey(path, args.id);
  let look = entered;
  for (;;) {
    const place = look.waiters.find((waiter) => waiter.key === key);
    // Another wait for the same request, over another server, may have taken it.
    const has = look.own !== null;
    if (place === undefined && !has) throw lostPlace(path);
    const before = place === undefined ? null : nextBefore(place, look.waiters);
    if (has || before === null) {
      const taken = await take(parts, has ? null : (place ?? null));
      if ('token' in taken) return taken;
      look = taken;
      if (place === undefined || !stillStands(look, place)) continue;
    }
    const ahead = before === null ? positionsRange(path) : { key: before.key };
    await oneGone(parts, [ahead, { key }], look, signal);
    signal?.throwIfAborted();
    const { results, revision } = await engine.commit({ apply: readsFor(args) });
    look = lookOf(parts.pool, path, results, revision);
  }
}

/** A repeated request finds the place that it put before. */
async function enter(
  { engine, pool, args }: TakeParts,
  signal: AbortSignal | undefined,
): Promise<{ readonly look: Look; readonly asked: Revision }> {
  const { path, lease } = args;
  const key = waiterKey(path, args.id);
  for (;;) {
    // Whose client has left by now may be asked for by it elsewhere.
    signal?.throwIfAborted();
    const { results, revision, succeeded } = await engine.commit({
      when: [{ key, target: 'version', is: '=', to: 0 }],
      apply: [{ type: 'put', key, value: encodeParty(args), lease }, ...readsFor(args)],
      otherwise: readsFor(args),
    });
    const look = lookOf(pool, path, succeeded ? results.slice(1) : results, revision);
    const found = look.waiters.find((waiter) => waiter.key === key);
    signal?.throwIfAborted();
    const asked = succeeded || found === undefined ? revision : await askAgain(engine, found);
    if (asked !== null) return { look, asked };
  }
}

/** The youngest place that is older. */
function nextBefore(place: Entry, waiters: readonly Entry[]): Entry | null {
  let before: Entry | null = null;
  for (const waiter of waiters) {
    if (waiter.createRevision >= place.createRevision) continue;
    if (before === null || waiter.createRevision > before.createRevision) before = waiter;
  }
  return before;
}

/** Resolves once something in the ranges has vanished since the look. */
async function oneGone(
  { engine }: TakeParts,
  ranges: readonly KeyRange[],
  { revision }: Look,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    for await (const batch of engine.watch(ranges, { after: revision ?? undefined, signal })) {
      if (batch.changes.some((change) => change.kind !== 'put')) return;
    }
  } catch (error) {
    // The next look reads the present: that history is gone does not matter.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
}

function lostPlace(path: string): WaymarkError {
  const why = 'its lease ended, or it was given up';
  return new WaymarkError('lost', `the place in line for a name of ${path} is gone: ${why}`, {
    path,
  });
}
