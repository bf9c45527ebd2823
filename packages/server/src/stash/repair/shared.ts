import { type Known, partitionCount, Placement } from 'waymark/stash';

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

/** Of two nodes that keep a partition one compares it: one the even, the other the odd. */
export function isOwnToCompare(partition: number, own: string, other: string): boolean {
  return (partition % 2 === 0) === own < other;
}

/** Partitions that a node keeps, and those of them that each other one keeps too, by their positions. */
export function sharedWith(
  placement: Placement,
  own: number,
): { readonly own: number[]; readonly others: Map<number, number[]> } {
  const others = new Map<number, number[]>();
  const kept: number[] = [];
  for (let partition = 0; partition < partitionCount; partition++) {
    const row = Array.from({ length: placement.replicas }, (_, rank) =>
      placement.at(partition, rank),
    );
    if (!row.includes(own)) continue;
    kept.push(partition);
    for (const position of row) {
      if (position === own) continue;
      const shared = others.get(position);
      if (shared === undefined) others.set(position, [partition]);
      else shared.push(partition);
    }
  }
  return { own: kept, others };
}
