import {
  arrayToBytes,
  type ByteString,
  type Entry,
  isWaymarkError,
  type KeyRange,
  type LeaseId,
  prefixRange,
  type Query,
  type ReadResult,
  type Revision,
  toLeaseId,
} from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import { commit } from './commit.js';
import { type Ground, namespaceOf } from './ground.js';
import { keyOf } from './key-area.js';

/**
 * Who waits for a lock or a leader's place stands as a key `NAME/LEASE` (the lease in hex), and the key that was created first has it: the
 * queue of etcd's client/v3/concurrency, so that those who queue up here and those who do it themselves, through that library, stand in one.
 * Each waits for the youngest of those before it alone, so that a release wakes one.
 */

export interface Place {
  readonly key: ByteString;
  readonly lease: LeaseId;
  /** What it is compared by: its key came into being then. */
  readonly since: Revision;
}

export interface Joined extends Place {
  /** The present one when it joined. */
  readonly revision: Revision;
  /** The place was there before. */
  readonly found: Entry | undefined;
  readonly first: boolean;
}

/** What a session has whose client brings no lease, in etcd's library. */
const sessionTtlMs = 60_000;

const slash = Buffer.from('/');

export class Queue {
  readonly #ground: Ground;
  readonly #call: Call;
  readonly #range: KeyRange;
  readonly #expired: () => Error;

  /** @param expired  what to fail with when the lease has ended, and the place with it */
  constructor(ground: Ground, call: Call, name: Uint8Array, expired: () => Error) {
    this.#ground = ground;
    this.#call = call;
    this.#range = prefixRange(keyOf(Buffer.concat([name, slash])));
    this.#expired = expired;
  }

  /**
   * Takes a place at the end, or finds the one that this lease has.
   *
   * @param lease  0: one of its own, which nobody keeps alive
   */
  async join(lease: bigint, value: Uint8Array): Promise<Joined> {
    const id = await sessionLease(this.#ground, this.#call, lease);
    const key = this.#range.key + BigInt(id).toString(16);
    const first = { type: 'read', ...this.#first } as const;
    const { revision, succeeded, results } = await commit(this.#ground, this.#call, {
      when: [{ key, target: 'create', is: '=', to: 0 }],
      apply: [{ type: 'put', key, value: arrayToBytes(value), lease: id }, first],
      otherwise: [{ type: 'read', key }, first],
    });
    const found = succeeded ? undefined : entryOf(results[0] as ReadResult);
    const since = found?.createRevision ?? revision;
    const oldest = entryOf(results[1] as ReadResult);
    return {
      key,
      lease: id,
      since,
      revision,
      found,
      first: oldest === undefined || oldest.createRevision === since,
    };
  }

  /**
   * Waits until no place is older. Whoever fails to see that gives up the place.
   *
   * @returns the present revision then
   */
  async turn(place: Place): Promise<Revision> {
    try {
      return await this.#wait(place);
    } catch (error) {
      // It goes with its lease at the latest; the caller learns why it failed.
      await this.leave(place).catch(() => {});
      throw error;
    }
  }

  /** Gives the place up, should it still be the same. */
  async leave({ key, since }: Pick<Place, 'key' | 'since'>): Promise<Revision> {
    const { revision } = await commit(this.#ground, this.#call, {
      when: [{ key, target: 'create', is: '=', to: since }],
      apply: [{ type: 'delete', key }],
    });
    return revision;
  }

  /** The one who has it, and the present revision. */
  async first(): Promise<{ readonly entry: Entry | undefined; readonly revision: Revision }> {
    const { host } = this.#ground;
    const { entries, revision } = await host.read(this.#namespace, this.#first);
    return { entry: entries[0], revision };
  }

  /** Waits for someone to join. */
  async newcomer(after: Revision): Promise<Entry> {
    const { host } = this.#ground;
    const { signal } = this.#call;
    for await (const { changes } of host.watch(this.#namespace, [this.#range], { after, signal })) {
      const put = changes.find(({ kind }) => kind === 'put');
      if (put !== undefined) return put.entry;
    }
    throw this.#call.signal.reason;
  }

  async #wait({ key, since }: Place): Promise<Revision> {
    for (;;) {
      const { revision, results } = await this.#look(key, since);
      const [own, before] = results.map((result) => entryOf(result as ReadResult));
      if (own?.createRevision !== since) throw this.#expired();
      if (before === undefined) return revision;
      await this.#gone([{ key }, { key: before.key }], revision);
    }
  }

  /** The place itself, and the youngest of those before it. */
  #look(key: ByteString, since: Revision): ReturnType<Ground['host']['commit']> {
    const { host } = this.#ground;
    const before: Query = {
      ...this.#range,
      orderBy: 'create',
      descending: true,
      limit: 1,
      maxCreateRevision: since - 1,
    };
    const apply = [
      { type: 'read', key },
      { type: 'read', ...before },
    ] as const;
    return host.commit(this.#namespace, { apply }, { signal: this.#call.signal });
  }

  /** Until one of them is deleted. */
  async #gone(ranges: readonly KeyRange[], after: Revision): Promise<void> {
    const { host } = this.#ground;
    const { signal } = this.#call;
    try {
      for await (const { changes } of host.watch(this.#namespace, ranges, { after, signal })) {
        if (changes.some(({ kind }) => kind !== 'put')) return;
      }
    } catch (error) {
      // What was missed is seen by another look.
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }

  get #first(): Query {
    return { ...this.#range, orderBy: 'create', limit: 1 };
  }

  get #namespace(): string {
    return namespaceOf(this.#ground, this.#call);
  }
}

/** The lease a client brings, or one of its own. */
export async function sessionLease(ground: Ground, call: Call, lease: bigint): Promise<LeaseId> {
  if (lease !== 0n) return toLeaseId(lease);
  await ground.quota.admitLease(namespaceOf(ground, call));
  return (await ground.engine.grant(sessionTtlMs)).id;
}

function entryOf({ reading }: ReadResult): Entry | undefined {
  return reading.entries[0];
}
