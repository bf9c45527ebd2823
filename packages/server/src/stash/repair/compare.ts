import {
  bitsOf,
  combined,
  type Digest,
  groupsOf,
  type StashPeer,
  unpackDigests,
  unpackFloors,
} from 'waymark/stash';
import type { StashStore } from '../store.js';

export interface ComparedParts {
  readonly store: StashStore;
  readonly peer: StashPeer;
  readonly epoch: number;
  readonly signal: AbortSignal;
}

/**
 * Which of some partitions are not the same here and at a peer (rule D5.2): by groups of 64 first, so that two nodes that hold the same tell each other 64 numbers. One that is not
 * known on a side is left out: it is worked out there, and compared another time.
 */
export async function differing(
  partitions: readonly number[],
  { store, peer, epoch, signal }: ComparedParts,
): Promise<number[]> {
  if (partitions.length === 0) return [];
  const told = async (asked: readonly number[], grouped: boolean): Promise<Digest[]> => {
    const ask = { epoch, partitions: bitsOf(asked), grouped };
    return unpackDigests(await peer.digests(ask, { signal }));
  };
  const own = (one: number): Digest => store.partitions.knownDigest(one);
  const theirs = await told(partitions, true);
  const suspected = groupsOf(partitions)
    .filter((group, at) => !isSame(combined(group.map(own)), theirs[at] ?? null))
    .flat();
  if (suspected.length === 0) return [];
  const each = await told(suspected, false);
  return suspected.filter((one, at) => {
    const [here, there] = [own(one), each[at] ?? null];
    return here !== null && there !== null && !isSame(here, there);
  });
}

/** Those of some partitions that are known to be the same here and at a peer. */
export async function agreeing(
  partitions: readonly number[],
  { store, peer, epoch, signal }: ComparedParts,
): Promise<Set<number>> {
  if (partitions.length === 0) return new Set();
  const ask = { epoch, partitions: bitsOf(partitions), grouped: false };
  const theirs = unpackDigests(await peer.digests(ask, { signal }));
  return new Set(
    partitions.filter((one, at) => isSame(store.partitions.knownDigest(one), theirs[at] ?? null)),
  );
}

/** Takes over what a peer has sealed and purged of partitions that this node is filled with, also where it is to bring nothing: else this node would refuse to purge what all others agreed upon. */
export async function adoptFloors(
  partitions: readonly number[],
  { store, peer, epoch, signal }: ComparedParts,
): Promise<void> {
  if (partitions.length === 0) return;
  const ask = { epoch, partitions: bitsOf(partitions) };
  const told = unpackFloors(await peer.floors(ask, { signal }));
  await store.partitions.adopt(
    told.map((floor, at) => ({ partition: partitions[at] as number, ...floor })),
  );
}

/** What is not known is the same as nothing. */
export function isSame(a: Digest, b: Digest): boolean {
  return a !== null && b !== null && a.high === b.high && a.low === b.low;
}
