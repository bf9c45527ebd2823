import type { CallOptions, Engine } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Known } from './known.js';
import { partitionCount } from './hash.js';
import { type PlacedNode, Placement } from './placement.js';
import { readQuorumOf, writeQuorumOf } from './routes.js';
import {
  type Also,
  changeView,
  encode,
  movePrefix,
  readView,
  type SeenView,
  type StashView,
} from './view.js';

/**
 * Moves of data from one placement to another (rules D6.1 to D6.6), in three views that follow each other:
 *
 *   filling    reads go to who kept it so far, writes to both; who gains partitions fills them
 *   settling   reads go to who keeps it from now on, writes to both; who kept it confirms that it knows
 *   done       nobody else is asked, and what a node keeps no more it deletes
 *
 * Each step puts another view in the place of the one that was seen, so there is one move at a time and each step is made once, whoever makes it. Two steps and not one, because a
 * coordinator that still reads by the first view must not miss what is written by the last.
 */

/** What a node tells of its part in a move. */
export interface MoveProgress {
  readonly since: number;
  readonly done: boolean;
  /** Partitions that were brought here, of those that it gains. */
  readonly partitions: number;
  readonly of: number;
  readonly entries: number;
  /** Unix time in ms at which it began. */
  readonly beganAt: number;
}

/** Ids of nodes that went are kept for so many. */
const leftMax = 100;

/**
 * Begins to move data so that these nodes keep it.
 *
 * @throws {WaymarkError} `conflict` while another move is under way; `unavailable` before there was a node
 */
export async function beginMove(
  engine: Engine,
  change: (nodes: readonly PlacedNode[]) => readonly PlacedNode[],
  options?: CallOptions,
): Promise<SeenView> {
  return await stepped(engine, options, ({ replicas, nodes, also, left, epoch }) => {
    if (also !== undefined) throw underWay();
    const next = change(nodes);
    if (next.length === 0) throw lastOne();
    const ids = new Set(next.map(({ id }) => id));
    const filling = { phase: 'filling', nodes: next, since: epoch + 1 } as const;
    return { replicas, nodes, also: filling, left: left?.filter((id) => !ids.has(id)) };
  });
}

/**
 * Takes out nodes that never come back, with what only they had (rule D6.9), and has a move under way that may wait for them begin anew without them.
 *
 * @throws {WaymarkError} `invalid` when no node is left; `conflict` while nodes that are alive have still to say that they know of the move
 */
export async function removeLost(
  engine: Engine,
  ids: readonly string[],
  known: Known,
  options?: CallOptions,
): Promise<SeenView> {
  const isLost = ({ id }: PlacedNode): boolean => ids.includes(id);
  return await stepped(engine, options, ({ replicas, nodes, also, left, epoch }) => {
    const isSettling = also?.phase === 'settling';
    // Who might still answer by the view before, which no owner of the next one would hear of.
    if (isSettling && untold(also, known).some((node) => !isLost(node))) throw underWay();
    const next = (also === undefined || isSettling ? nodes : also.nodes).filter(
      (node) => !isLost(node),
    );
    if (next.length === 0) throw lastOne();
    const lost = [...new Set([...(also?.lost ?? []), ...ids])];
    return {
      ...{ replicas, nodes, left: isSettling ? withLeft(left, also.nodes, nodes) : left },
      also: { phase: 'filling', nodes: next, since: epoch + 1, lost },
    };
  });
}

/** Goes back to who kept it before. @throws {WaymarkError} `conflict` when there is none that can be */
export async function cancelMove(engine: Engine, options?: CallOptions): Promise<SeenView> {
  return await stepped(engine, options, ({ replicas, nodes, also, left }) => {
    if (also?.phase !== 'filling') throw noMove();
    return { replicas, nodes, left: withLeft(left, also.nodes, nodes) };
  });
}

/** Has the move under way wait, or go on. @throws {WaymarkError} `conflict` when there is none */
export async function pauseMove(
  engine: Engine,
  paused: boolean,
  options?: CallOptions,
): Promise<SeenView> {
  return await stepped(engine, options, ({ replicas, nodes, also, left }) => {
    if (also?.phase !== 'filling') throw noMove();
    return { replicas, nodes, left, also: { ...also, paused } };
  });
}

/**
 * Goes on to the next view when all have done their part. Any node may: the first one does it.
 *
 * @returns null when it is not time yet, or another one was first
 */
export async function advanceMove(
  engine: Engine,
  known: Known,
  options?: CallOptions,
): Promise<SeenView | null> {
  const seen = known.view;
  const also = seen?.view.also;
  if (seen === null || also === undefined || also.paused === true) return null;
  const { replicas, nodes, left, epoch } = seen.view;
  const missing = untold(also, known);
  if (missing.some(({ id }) => known.isAlive(id))) return null;
  if (also.phase === 'filling') {
    if (notFilled(missing, seen.view).length > 0) return null;
    const settling = { phase: 'settling', nodes, since: epoch + 1, lost: also.lost } as const;
    const next = { replicas, nodes: also.nodes, left, also: settling };
    return await changeView(engine, seen, next, options);
  }
  if (tooManyMissing(missing, seen.view)) return null;
  const done = { replicas, nodes, left: withLeft(left, also.nodes, nodes) };
  return await changeView(engine, seen, done, options);
}

/**
 * Partitions that a node has to be filled with before it is read by the next view, ascending: those that it gains. Where fewer copies are left, all that it keeps, if a read of them may miss what was
 * acknowledged by copies of before: of a write that two of three have, one of the two that stay may have nothing, and is read alone.
 */
export function toFill(id: string, before: Placement, after: Placement): number[] {
  const all = keptBy(id, after);
  const isRead = writeQuorumOf(before.replicas) + readQuorumOf(after.replicas) > before.replicas;
  const had = isRead ? keptBy(id, before) : new Set<number>();
  return [...all].filter((one) => !had.has(one));
}

/** Partitions that a node keeps, ascending. */
export function keptBy(id: string, placement: Placement): Set<number> {
  const own = placement.nodes.findIndex((node) => node.id === id);
  const kept = new Set<number>();
  for (let one = 0; one < partitionCount && own >= 0; one++) {
    for (let rank = 0; rank < placement.replicas; rank++) {
      if (placement.at(one, rank) === own) kept.add(one);
    }
  }
  return kept;
}

/** Who has not said that it did its part of a move; of nodes that are lost for good nothing is heard. */
export function untold({ nodes, since, lost }: Also, known: Known): PlacedNode[] {
  return nodes.filter(({ id }) => {
    const progress = known.moves.get(id);
    const isDone = progress?.since === since && progress.done;
    return !isDone && lost?.includes(id) !== true;
  });
}

/** Who of some that are away has to be filled: of one that is given nothing there is nothing to hear. */
export function notFilled(
  missing: readonly PlacedNode[],
  { replicas, nodes, also }: StashView,
): PlacedNode[] {
  if (missing.length === 0 || also === undefined) return [];
  const [before, after] = [new Placement(nodes, replicas), new Placement(also.nodes, replicas)];
  return missing.filter(({ id }) => toFill(id, before, after).length > 0);
}

/**
 * One that only seems to be dead may go on to answer by the old view: alone it must not be enough for a read. Who removes the other copy of two knows that it is gone.
 */
export function tooManyMissing(
  missing: readonly PlacedNode[],
  { replicas, nodes, also }: StashView,
): boolean {
  const staying = missing.filter(({ id }) => nodes.some((node) => node.id === id));
  const enough = readQuorumOf(Math.min(replicas, also?.nodes.length ?? 0));
  return missing.length > Math.max(1, enough - 1) || staying.length > enough - 1;
}

/** Of how many of its owners a partition is filled: of as many as a read asks, or of all that are not lost for good. */
export function sourcesOf(partition: number, before: Placement, lost: readonly string[]): number {
  const there = before.of(partition).filter(({ id }) => !lost.includes(id)).length;
  return Math.min(readQuorumOf(before.replicas), there);
}

/** Says how far a node is with its part of a move. */
export async function tellMove(
  engine: Engine,
  id: string,
  progress: MoveProgress,
  options?: CallOptions,
): Promise<void> {
  const value = encode(progress);
  await engine.commit({ apply: [{ type: 'put', key: movePrefix + id, value }] }, options);
}

/** Puts what comes of the view in its place, again where another one was first. */
async function stepped(
  engine: Engine,
  options: CallOptions | undefined,
  step: (view: StashView) => Omit<StashView, 'epoch'>,
): Promise<SeenView> {
  for (;;) {
    const seen = await readView(engine, options);
    if (seen === null) throw new WaymarkError('unavailable', 'the stash has no node yet');
    const done = await changeView(engine, seen, step(seen.view), options);
    if (done !== null) return done;
  }
}

function withLeft(
  left: readonly string[] = [],
  before: readonly PlacedNode[],
  after: readonly PlacedNode[],
): readonly string[] {
  const stay = new Set(after.map(({ id }) => id));
  const gone = before.map(({ id }) => id).filter((id) => !stay.has(id));
  return [...left.filter((id) => !stay.has(id) && !gone.includes(id)), ...gone].slice(-leftMax);
}

function lastOne(): WaymarkError {
  return new WaymarkError('invalid', 'a stash keeps one node at least: start another one first');
}

function underWay(): WaymarkError {
  return new WaymarkError('conflict', 'data is being moved already: wait for it, or cancel it');
}

function noMove(): WaymarkError {
  return new WaymarkError('conflict', 'no move is under way that could be');
}
