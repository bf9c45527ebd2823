import { WaymarkError } from 'waymark/engine';
import {
  combined,
  groupsOf,
  packDigests,
  packFloors,
  partitionsOf,
  type PeerDigests,
  type PeerFetch,
  type PeerFloors,
  type PeerMend,
  type PeerPage,
  type PeerSeal,
  type PeerVersions,
  type StashPeer,
} from 'waymark/stash';
import type { StashStore } from '../store.js';

/** What other nodes ask of this one, over its store: as StashPeer has it. */
export class PeerNode implements StashPeer {
  readonly #store: StashStore;
  #settledEpoch = 0;
  readonly #follow: (epoch: number) => Promise<void>;

  /** @param follow  resolves when an epoch is the present one, and refuses one that is over (rule D4.6) */
  constructor(store: StashStore, follow: (epoch: number) => Promise<void>) {
    this.#store = store;
    this.#follow = follow;
  }

  /** What was taken by an older view is on disk before anything is told by a newer one: so who is filled misses none of it (rule D6.3). */
  async #present(epoch: number): Promise<void> {
    await this.#follow(epoch);
    if (this.#settledEpoch >= epoch) return;
    await this.#store.partitions.barrier();
    this.#settledEpoch = epoch;
  }

  async digests({ epoch, partitions, grouped }: PeerDigests): Promise<Uint8Array> {
    await this.#present(epoch);
    const asked = partitionsOf(partitions);
    const known = (one: number) => this.#store.partitions.knownDigest(one);
    if (!grouped) return packDigests(asked.map(known));
    return packDigests(groupsOf(asked).map((group) => combined(group.map(known))));
  }

  async floors({ epoch, partitions }: PeerFloors): Promise<Uint8Array> {
    await this.#present(epoch);
    const { partitions: own } = this.#store;
    return packFloors(
      partitionsOf(partitions).map((one) => {
        return { sealed: own.sealed(one), purged: own.purged(one) };
      }),
    );
  }

  async versions({ epoch, partition, after }: PeerVersions): Promise<PeerPage> {
    await this.#present(epoch);
    const { partitions } = this.#store;
    const purged = partitions.purged(partition);
    return { ...partitions.versions(partition, after), purged };
  }

  async fetch({ epoch, partition, keys }: PeerFetch): Promise<Uint8Array> {
    await this.#present(epoch);
    return this.#store.partitions.fetch(partition, keys);
  }

  async mend({ epoch, partition, purged, entries }: PeerMend): Promise<void> {
    await this.#present(epoch);
    if (purged < this.#store.partitions.purged(partition)) throw behind(partition);
    await this.#store.partitions.mend(partition, entries);
  }

  async seal({ epoch, partition, upTo }: PeerSeal): Promise<Uint8Array> {
    await this.#present(epoch);
    await this.#store.partitions.seal(partition, upTo);
    return packDigests([await this.#store.partitions.digest(partition)]);
  }

  async purge({ epoch, partition, upTo }: PeerSeal): Promise<void> {
    await this.#present(epoch);
    await this.#store.partitions.purge(partition, upTo);
  }
}

function behind(partition: number): WaymarkError {
  const why = `tombstones of partition ${partition} are gone here that may be the reason for what comes: purge them there first`;
  return new WaymarkError('conflict', why);
}
