import { WaymarkError } from '../core/errors.js';
import { partitionCount } from './hash.js';
import type { NodeLink } from './node-link.js';
import type { Placement } from './placement.js';

/** How many of so many replicas confirm a write: more than half, and both of two. */
export function writeQuorumOf(replicas: number): number {
  return replicas === 2 ? 2 : Math.floor(replicas / 2) + 1;
}

/** So many that one of them has what a write quorum has. */
export function readQuorumOf(replicas: number): number {
  return replicas - writeQuorumOf(replicas) + 1;
}

/** Who is asked for what, by one epoch and what is known of the nodes. */
export class Routes {
  readonly epoch: number;
  readonly placement: Placement;
  /** By the position of the node in the placement; behind them those that are only written to. */
  readonly links: readonly NodeLink[];
  /** While data moves: who else is written to, of each partition, with a quorum of its own (rule D6.2). */
  readonly also: AlsoRoutes | null;
  readonly writeQuorum: number;
  readonly readQuorum: number;
  /** For each partition its replicas, the nearest first. */
  readonly #nearest: Uint16Array;
  #turn = 0;

  /** @throws {WaymarkError} `unavailable` without nodes */
  constructor(
    epoch: number,
    placement: Placement,
    links: readonly NodeLink[],
    also: Placement | null = null,
  ) {
    const { replicas } = placement;
    if (replicas === 0) throw noNodes();
    this.epoch = epoch;
    this.placement = placement;
    this.links = links;
    this.also = also === null ? null : new AlsoRoutes(also, links);
    this.writeQuorum = writeQuorumOf(replicas);
    this.readQuorum = readQuorumOf(replicas);
    this.#nearest = new Uint16Array(partitionCount * replicas);
    const far = links.map(({ distance }) => distance);
    for (let partition = 0; partition < partitionCount; partition++) {
      const order = Array.from({ length: replicas }, (_, rank) => placement.at(partition, rank));
      order.sort((a, b) => (far[a] as number) - (far[b] as number));
      this.#nearest.set(order, partition * replicas);
    }
  }

  get replicas(): number {
    return this.placement.replicas;
  }

  /** Each node keeps everything: whom to ask does not depend on the key. */
  get everywhere(): boolean {
    return this.also === null && this.links.length === this.replicas;
  }

  /** Who is asked for what they have, by their position. */
  get readable(): readonly NodeLink[] {
    return this.links.slice(0, this.placement.nodes.length);
  }

  /** The replica of a partition that is asked after so many nearer ones: a position in `links`. */
  nearest(partition: number, rank: number): number {
    return this.#nearest[partition * this.replicas + rank] as number;
  }

  /** Where each node keeps everything: a partition whose order is taken for a whole batch, another one each time, so that all are asked alike. */
  turn(): number {
    this.#turn = (this.#turn + 1) % partitionCount;
    return this.#turn;
  }
}

/** The other placement of a move, by positions in the links. */
export class AlsoRoutes {
  readonly writeQuorum: number;
  readonly #placement: Placement;
  readonly #links: readonly number[];

  constructor(placement: Placement, links: readonly NodeLink[]) {
    this.#placement = placement;
    this.#links = placement.nodes.map(({ id }) => links.findIndex((link) => link.id === id));
    this.writeQuorum = writeQuorumOf(placement.replicas);
  }

  of(partition: number): number[] {
    const { replicas } = this.#placement;
    return Array.from({ length: replicas }, (_, rank) => {
      return this.#links[this.#placement.at(partition, rank)] as number;
    });
  }
}

export function noNodes(): WaymarkError {
  return new WaymarkError(
    'unavailable',
    'the stash has no node yet: start one with `waymark stash --data DIR --space URL`, or a server with `--stash`',
  );
}
