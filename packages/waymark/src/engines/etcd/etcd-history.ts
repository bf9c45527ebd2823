import type {
  CallOptions,
  Query,
  Reading,
  ReadOperation,
  Revision,
  Txn,
} from '../../core/engine.js';
import { isWaymarkError } from '../../core/errors.js';
import { readReading, revisionOf, writeQuery } from './entry-codec.js';
import { compareResult, compareTarget } from './enums.js';
import type { EtcdClient } from './etcd-client.js';
import { compactedAt, floorOf, futureRevision, onlyReads, rangesOf, readsOf } from './facts.js';
import { KV, type RangeResponse } from './gen/etcd_pb.js';
import { type Layout, toBuffer } from './layout.js';
import { writeTxn } from './txn-codec.js';

/**
 * How far back the root can be read. Its floor is a key of its own, so that compacting one root takes nothing from whoever else uses this
 * etcd; what etcd itself has compacted is gone for all.
 */
export class EtcdHistory {
  /** The highest floor seen. */
  floor: Revision = 0;
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  /** etcd's own history goes with the root's. */
  readonly #owned: boolean;
  /** Fails with `compacted` and the point when etcd's history does not reach back to its beginning. */
  readonly #followFromBegin: (signal: AbortSignal) => AsyncIterable<unknown>;

  constructor(
    client: EtcdClient,
    layout: Layout,
    owned: boolean,
    followFromBegin: (signal: AbortSignal) => AsyncIterable<unknown>,
  ) {
    this.#client = client;
    this.#layout = layout;
    this.#owned = owned;
    this.#followFromBegin = followFromBegin;
  }

  async present(at?: Revision, { signal }: CallOptions = {}): Promise<Revision> {
    const request = { key: this.#layout.floorKey };
    const answer = await this.#client.call(KV.method.range, request, { kind: 'read', signal });
    this.noticeFloor(floorOf(answer));
    const present = revisionOf(answer);
    if (at !== undefined && at > present) throw futureRevision(at, present);
    if (at !== undefined && at < this.floor) throw compactedAt(this.floor);
    return present;
  }

  noticeFloor(floor: Revision): void {
    this.floor = Math.max(this.floor, floor);
  }

  async read(query: Query & { readonly at: Revision }, options: CallOptions): Promise<Reading> {
    const layout = this.#layout;
    const asked = [{ key: layout.floorKey }, writeQuery({ layout }, query)];
    const success = asked.map((value) => ({
      request: { case: 'requestRange' as const, value },
    }));
    try {
      const { signal } = options;
      const answer = await this.#client.call(KV.method.txn, { success }, { kind: 'read', signal });
      const [floor, range] = rangesOf(answer);
      if (query.at < floorOf(floor)) throw compactedAt(floorOf(floor));
      return readReading(layout, query, range as RangeResponse, revisionOf(answer));
    } catch (error) {
      throw await this.explained(error, { apply: [{ type: 'read', ...query }] });
    }
  }

  async compact(through: Revision, options: CallOptions): Promise<void> {
    for (;;) {
      const present = await this.present(undefined, options);
      if (through > present) throw futureRevision(through, present);
      if (through <= this.floor) break;
      if (await this.#raise(this.floor, through, options)) this.noticeFloor(through);
    }
    if (this.#owned) await this.#compactPhysically(through, options);
  }

  /** etcd's refusals of a revision, with the facts that belong to them, which must be asked for. */
  async explained(error: unknown, txn: Txn): Promise<unknown> {
    if (isWaymarkError(error, 'future_revision')) {
      const present = await this.present();
      const { at = present } = (await this.#firstOutside(txn, present)) ?? {};
      return at < this.floor ? compactedAt(this.floor) : futureRevision(at, present);
    }
    if (isWaymarkError(error, 'compacted') && error.facts.compacted === undefined) {
      return compactedAt(Math.max(this.floor, await this.#physicalFloor()));
    }
    return error;
  }

  /**
   * The read outside of history that a transaction was refused for. Below the floor and above the present etcd refuses alike, at the first
   * read that it comes to in the branches that run: where there are both, that is told by asking its checks and ever more of these reads.
   */
  async #firstOutside(txn: Txn, present: Revision): Promise<ReadOperation | undefined> {
    const isOutside = ({ at = present }: ReadOperation): boolean => at < this.floor || at > present;
    const outside = readsOf(txn).filter(isOutside);
    const past = outside.filter(({ at = present }) => at < this.floor);
    if (past.length === 0 || past.length === outside.length) return outside[0];
    for (const [index, read] of outside.entries()) {
      let met = 0;
      if (await this.#refuses(onlyReads(txn, (one) => isOutside(one) && met++ <= index)))
        return read;
    }
    return undefined;
  }

  async #refuses(asked: Txn): Promise<boolean> {
    const request = writeTxn({ layout: this.#layout, floor: this.floor }, asked);
    try {
      await this.#client.call(KV.method.txn, request, { kind: 'read' });
      return false;
    } catch (error) {
      if (isWaymarkError(error, 'future_revision')) return true;
      throw error;
    }
  }

  /** @returns false when another has moved it meanwhile */
  async #raise(from: Revision, to: Revision, { signal }: CallOptions): Promise<boolean> {
    const key = this.#layout.floorKey;
    const [target, targetUnion] =
      from === 0
        ? [compareTarget.version, { case: 'version' as const, value: 0n }]
        : [compareTarget.value, { case: 'value' as const, value: toBuffer(String(from)) }];
    const put = { key, value: toBuffer(String(to)) };
    const request = {
      compare: [{ key, result: compareResult.equal, target, targetUnion }],
      success: [{ request: { case: 'requestPut' as const, value: put } }],
    };
    // Sent twice it does the same: the second time the floor is there.
    const answer = await this.#client.call(KV.method.txn, request, { kind: 'read', signal });
    return answer.succeeded;
  }

  async #compactPhysically(through: Revision, { signal }: CallOptions): Promise<void> {
    try {
      const request = { revision: BigInt(through) };
      await this.#client.call(KV.method.compact, request, { kind: 'read', signal });
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }

  /** etcd tells where it was compacted only to a watch that asks for what is gone. */
  async #physicalFloor(): Promise<Revision> {
    const stop = new AbortController();
    try {
      for await (const _ of this.#followFromBegin(stop.signal)) return 0;
    } catch (error) {
      if (isWaymarkError(error, 'compacted')) return error.facts.compacted ?? 0;
      throw error;
    } finally {
      stop.abort();
    }
    return 0;
  }
}
