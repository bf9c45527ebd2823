import type { StashMove } from '../core/stash.js';
import type { Known } from './known.js';
import {
  type MoveProgress,
  notFilled,
  sourcesOf,
  toFill,
  tooManyMissing,
  untold,
} from './moves.js';
import { type PlacedNode, Placement } from './placement.js';
import type { StashView } from './view.js';

/** @returns null while no data is moved. @param wallNow  unix time in ms */
export function moveStatus(known: Known, wallNow: number): StashMove | null {
  const also = known.view?.view.also;
  if (also === undefined) return null;
  const { phase, paused = false, since } = also;
  const of = (id: string): MoveProgress | undefined => {
    const told = known.moves.get(id);
    return told?.since === since ? told : undefined;
  };
  const told = also.nodes.map(({ id }) => of(id)).filter((one) => one !== undefined);
  const sum = (what: 'partitions' | 'of' | 'entries'): number =>
    told.reduce((all, one) => all + one[what], 0);
  const waitingFor = also.nodes.map(({ id }) => id).filter((id) => of(id)?.done !== true);
  const took = wallNow - Math.min(wallNow, ...told.map(({ beganAt }) => beganAt));
  const [partitions, all] = [sum('partitions'), sum('of')];
  // Of less than a hundredth the pace cannot be told.
  const canTell = partitions > 0 && partitions * 100 >= all;
  const leftMs = canTell ? Math.round((took * (all - partitions)) / partitions) : null;
  const blockedBy = blocking(known);
  const entries = sum('entries');
  return { phase, paused, partitions, of: all, entries, leftMs, waitingFor, blockedBy };
}

/** Nodes that are away, and without which the move under way cannot end. */
function blocking(known: Known): string[] {
  const view = known.view?.view;
  const { also } = view ?? {};
  if (view === undefined || also === undefined) return [];
  const isAway = ({ id }: PlacedNode): boolean =>
    !known.isAlive(id) && also.lost?.includes(id) !== true;
  const missing = untold(also, known).filter(isAway);
  const found =
    also.phase === 'settling'
      ? missing.filter(() => tooManyMissing(missing, view))
      : [...notFilled(missing, view), ...sourcesAway(view, isAway)];
  return [...new Set(found.map(({ id }) => id))];
}

/** Who is away of those that keep something of which too few others have a copy to fill from. */
function sourcesAway(
  { replicas, nodes, also }: StashView,
  isAway: (node: PlacedNode) => boolean,
): PlacedNode[] {
  if (also === undefined || !nodes.some(isAway)) return [];
  const [before, after] = [new Placement(nodes, replicas), new Placement(also.nodes, replicas)];
  const wanted = new Set(also.nodes.flatMap(({ id }) => toFill(id, before, after)));
  const found = new Set<PlacedNode>();
  for (const partition of wanted) {
    const owners = before.of(partition);
    const away = owners.filter(isAway);
    const lost = also.lost ?? [];
    const there = owners.filter(({ id }) => !lost.includes(id)).length - away.length;
    if (there < sourcesOf(partition, before, lost)) for (const node of away) found.add(node);
  }
  return [...found];
}
