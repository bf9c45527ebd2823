import { partitionCount, type Placement } from 'waymark/stash';

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
