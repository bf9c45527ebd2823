import { type Known, Placement } from 'waymark/stash';

/** Who keeps what by one view. */
export interface Placed {
  readonly epoch: number;
  readonly placement: Placement;
  /** Other nodes keep some of it, too. */
  readonly moving: boolean;
}

/**
 * What is known goes on while it is worked by: the epoch is that of the placement, so that nodes refuse what is asked by one that is over.
 *
 * @param last  of an earlier time: a placement is worked out once an epoch. @returns null before there was a node
 */
export function placedBy(known: Known, last: Placed | null): Placed | null {
  const view = known.view?.view;
  if (view === undefined) return null;
  const { epoch, nodes, replicas, also } = view;
  if (last?.epoch === epoch) return last;
  return { epoch, placement: new Placement(nodes, replicas), moving: also !== undefined };
}
