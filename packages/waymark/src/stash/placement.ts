import { textToBytes } from '../core/bytes.js';
import { hash64, mix64, partitionCount } from './hash.js';

/**
 * Who keeps which partition (rules D1.2 to D1.5): weighted rendezvous hashing, zone by zone. Each node draws a score for each partition, and the highest keep it.
 * A node that comes wins what it draws highest, one that goes loses what it had, and between all others nothing changes, because their scores do not. A ring of virtual nodes needs
 * a table to be agreed on and spreads less evenly; jump hashing can only take the last node away.
 *
 * The score of weight / -ln(u) makes the chance to be first proportional to the weight: Schindelhauer and Schomaker, Weighted distributed hash tables (2005).
 */

export interface PlacedNode {
  readonly id: string;
  readonly zone: string;
  /** Above 0; twice the weight keeps twice as much. */
  readonly weight: number;
}

/** One way of keeping the data, worked out once: partition → nodes. */
export class Placement<Node extends PlacedNode = PlacedNode> {
  /** By id. */
  readonly nodes: readonly Node[];
  /** Copies of each partition: as many as asked, and no more than there are nodes. */
  readonly replicas: number;
  /** For each partition its nodes by their position, the first-ranked first. */
  readonly #table: Uint16Array;

  /** @param replicas  copies that are asked for */
  constructor(nodes: Iterable<Node>, replicas: number) {
    this.nodes = [...nodes].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    this.replicas = Math.min(replicas, this.nodes.length);
    this.#table = new Uint16Array(partitionCount * this.replicas);
    const ranking = new Ranking(this.nodes);
    for (let partition = 0; partition < partitionCount; partition++) {
      const from = partition * this.replicas;
      takeByZone(ranking, partition, this.#table.subarray(from, from + this.replicas));
    }
  }

  /** Who keeps it at this rank, from 0: a position in `nodes`. */
  at(partition: number, rank: number): number {
    return this.#table[partition * this.replicas + rank] as number;
  }

  /** Who keeps it, the first-ranked first. */
  of(partition: number): Node[] {
    return Array.from({ length: this.replicas }, (_, rank) => {
      return this.nodes[this.at(partition, rank)] as Node;
    });
  }

  /** Partitions that each node keeps, in the order of `nodes`. */
  counts(): number[] {
    const counts = this.nodes.map(() => 0);
    for (const position of this.#table) counts[position] = (counts[position] as number) + 1;
    return counts;
  }
}

class Ranking {
  readonly zones: readonly number[];
  readonly #weights: readonly number[];
  readonly #seeds: readonly { readonly high: number; readonly low: number }[];
  readonly #scores: Float64Array;
  readonly #order: number[];

  constructor(nodes: readonly PlacedNode[]) {
    const zones = [...new Set(nodes.map(({ zone }) => zone))];
    this.zones = nodes.map(({ zone }) => zones.indexOf(zone));
    this.#weights = nodes.map(({ weight }) => weight);
    this.#seeds = nodes.map(({ id }) => hash64(textToBytes(id)));
    this.#scores = new Float64Array(nodes.length);
    this.#order = nodes.map((_, position) => position);
  }

  /** Positions of the nodes, the highest score first; of equal ones the lower id. */
  of(partition: number): readonly number[] {
    const own = mix64(0, partition + 1);
    const scores = this.#scores;
    for (const [position, seed] of this.#seeds.entries()) {
      const { high, low } = mix64((own.high ^ seed.high) >>> 0, (own.low ^ seed.low) >>> 0);
      scores[position] = score(high, low, this.#weights[position] as number);
    }
    return this.#order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  }
}

/** u is in the middle of one of 2^52 equal parts of (0, 1): a double has it exactly, and it is neither 0 nor 1. */
function score(high: number, low: number, weight: number): number {
  const top = high * 0x10_0000 + (low >>> 12);
  return weight / -Math.log((top + 0.5) / 0x10_0000_0000_0000);
}

/** Fills `into`: the best of each zone, then the second of each, until it is full. */
function takeByZone(ranking: Ranking, partition: number, into: Uint16Array): void {
  const order = ranking.of(partition);
  const passed = new Map<number, number>();
  const rounds = order.map((position) => {
    const zone = ranking.zones[position] as number;
    const before = passed.get(zone) ?? 0;
    passed.set(zone, before + 1);
    return before;
  });
  let taken = 0;
  for (let round = 0; taken < into.length; round++) {
    for (let rank = 0; rank < order.length && taken < into.length; rank++) {
      if (rounds[rank] === round) into[taken++] = order[rank] as number;
    }
  }
}
