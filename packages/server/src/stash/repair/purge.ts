import { type StashPeer, unpackDigests } from 'waymark/stash';
import type { StashStore } from '../store.js';
import { isSame } from './compare.js';

/** What deletes tombstones for good, of partitions that this node keeps at the first rank: so one node does it for each. */
export interface PurgeParts {
  readonly store: StashStore;
  readonly epoch: number;
  readonly signal: AbortSignal;
  /** All other replicas of a partition; null: it is not this node's to purge, or not now. */
  readonly replicasOf: (partition: number) => readonly StashPeer[] | null;
}

/** Partitions that are purged in one round, at most: their tombstones may be many. */
const partitionsMax = 256;

/**
 * Deletes tombstones that are due, where all replicas agree (rule D5.6): each takes no delayed writes up to the last of them any more, and then tells its digest. Where all are the same, every
 * replica holds every tombstone that any of them holds, and none can get an older version: so they may go, on each of them whenever it comes to it.
 *
 * @returns partitions that were purged
 */
export async function purgeDue(parts: PurgeParts): Promise<number> {
  const { store, replicasOf } = parts;
  let purged = 0;
  for (const [partition, upTo] of await store.overdue.tombstones(partitionsMax)) {
    const others = replicasOf(partition);
    if (others === null) continue;
    if (await agreed(partition, upTo, others, parts)) purged++;
  }
  return purged;
}

async function agreed(
  partition: number,
  upTo: number,
  others: readonly StashPeer[],
  { store, epoch, signal }: PurgeParts,
): Promise<boolean> {
  const ask = { epoch, partition, upTo };
  const { partitions } = store;
  try {
    await partitions.seal(partition, upTo);
    const sealed = await Promise.all(others.map((peer) => peer.seal(ask, { signal })));
    const own = await partitions.digest(partition);
    if (!sealed.every((packed) => isSame(unpackDigests(packed)[0] ?? null, own))) return false;
  } catch (error) {
    // One that is away has its say another time: comparing tells what is the matter with it.
    if (signal.aborted) throw error;
    return false;
  }
  await partitions.purge(partition, upTo);
  // Who does not hear of it purges when it compares: its page and this one's tell how far each is.
  await Promise.allSettled(others.map((peer) => peer.purge(ask, { signal })));
  return true;
}
