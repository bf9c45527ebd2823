import type { ServiceError } from '@grpc/grpc-js';
import {
  compareResult,
  compareTarget,
  type DescMessage,
  KV,
  Lease,
  type MessageInitShape,
  type RangeRequestSchema,
  type RequestOpSchema,
  toJson,
  type TxnRequestSchema,
  Watch,
  type WatchCreateRequestSchema,
  type WatchResponse,
} from 'waymark/etcd';
import type { SeededRandom } from '../../faults/random.js';
import type { EtcdApi, TypedMethod } from '../client.js';

/** One request, and the same for every etcd it is sent to. */
export interface GeneratedCall {
  readonly method: TypedMethod<DescMessage, DescMessage>;
  readonly request: unknown;
}

/** Where the sequence stands, as far as what is asked next depends on it. */
export interface Standing {
  readonly revision: number;
  readonly compacted: number;
}

type WatchInit = MessageInitShape<typeof WatchCreateRequestSchema>;
type TxnInit = MessageInitShape<typeof TxnRequestSchema>;
type OpInit = MessageInitShape<typeof RequestOpSchema>;
type RangeInit = MessageInitShape<typeof RangeRequestSchema>;

const keys = ['a', 'b', 'aa', 'ab', 'a\0', '\0', '\xff', '\xff\xff', '/a', '/a/b', 'k', ''];
const values = ['', 'x', 'y', 'a longer value', '\0\xff\x80'];
/** Below zero, and neighbours that a double could not tell apart. */
const leases = [0n, 7n, -8n, 2n ** 63n - 2n, 2n ** 63n - 1n];
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Requests of all kinds, good ones and bad ones, over few keys and leases, so that they meet. */
export class CallGenerator {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  next(standing: Standing): GeneratedCall {
    const { compact, deleteRange, put, range, txn } = KV.method;
    const { leaseGrant, leaseLeases, leaseRevoke, leaseTimeToLive } = Lease.method;
    const r = this.#random;
    const dice = r.below(100);
    if (dice < 25) return { method: range, request: this.#range(standing) };
    if (dice < 45) return { method: put, request: this.#put() };
    if (dice < 55) return { method: deleteRange, request: this.#delete(true) };
    if (dice < 85) return { method: txn, request: this.#txn(standing, 0) };
    if (dice < 88) {
      const revision = BigInt(standing.revision - r.below(8) + r.below(3)) || 1n;
      return { method: compact, request: { revision, physical: r.below(2) === 0 } };
    }
    if (dice < 92) {
      return { method: leaseGrant, request: { ID: this.#lease(1), TTL: this.#ttl() } };
    }
    if (dice < 95) return { method: leaseRevoke, request: { ID: this.#lease(0) } };
    if (dice < 97) return { method: leaseTimeToLive, request: { ID: this.#lease(0), keys: true } };
    if (dice < 98) return { method: leaseLeases, request: {} };
    return { method: Watch.method.watch, request: this.#watch(standing) };
  }

  #key(): Buffer {
    const known = this.#random.below(50);
    return bytes(known === 0 ? '' : this.#random.pick(keys.slice(0, -1)));
  }

  /** None, all from there, a prefix, or up to any other key: also one that lies before. */
  #end(key: Buffer): Buffer {
    const dice = this.#random.below(10);
    if (dice < 4) return bytes('');
    if (dice < 6) return bytes('\0');
    if (dice < 8 && key.length > 0) {
      const end = Buffer.from(key);
      end[end.length - 1] = ((end.at(-1) as number) + 1) % 256;
      return end;
    }
    return this.#key();
  }

  #lease(from: number): bigint {
    return this.#random.pick(leases.slice(from));
  }

  #ttl(): bigint {
    return BigInt(this.#random.pick([1_000, 5_000, 9_000_000_001]));
  }

  #some(chance = 0.15): boolean {
    return this.#random.next() < chance;
  }

  #revision({ revision, compacted }: Standing): bigint {
    const low = Math.max(compacted - 2, -1);
    return BigInt(low + this.#random.below(revision - low + 3));
  }

  #range(standing: Standing): RangeInit {
    const key = this.#key();
    const filter = (): bigint => (this.#some(0.08) ? this.#revision(standing) : 0n);
    const sortTarget = this.#some(0.3) ? this.#random.below(5) : 0;
    const sortOrder = this.#some(0.3) ? this.#random.below(3) : 0;
    // With a target and no order etcd sorts no more than the first keys that the limit lets through.
    const unordered = sortTarget !== 0 && sortOrder === 0;
    return {
      key,
      rangeEnd: this.#end(key),
      limit: BigInt(this.#some() && !unordered ? this.#random.below(4) : 0),
      revision: this.#some() ? this.#revision(standing) : 0n,
      sortOrder,
      sortTarget,
      serializable: this.#some(),
      keysOnly: this.#some(),
      countOnly: this.#some(),
      minModRevision: filter(),
      maxModRevision: filter(),
      minCreateRevision: filter(),
      maxCreateRevision: filter(),
    };
  }

  #put(): MessageInitShape<typeof KV.method.put.input> {
    const ignoreValue = this.#some(0.1);
    const ignoreLease = this.#some(0.1);
    return {
      key: this.#key(),
      value: bytes(ignoreValue && !this.#some() ? '' : this.#random.pick(values)),
      lease: ignoreLease && !this.#some() ? 0n : this.#some(0.3) ? this.#lease(0) : 0n,
      prevKv: this.#some(0.4),
      ignoreValue,
      ignoreLease,
    };
  }

  /** @param open  also a range without an end, which etcd overlooks where it refuses that a transaction writes a key twice */
  #watch(standing: Standing): WatchInit {
    const key = this.#key();
    const { revision, compacted } = standing;
    // From now on nothing would be told, as what marks the end is written before; and below zero etcd tells nothing until it is compacted once.
    const any = this.#revision(standing);
    const drawn = any > 0n ? any : 1n;
    // At the compaction point itself etcd 3.4 tells of deletes until it has got round to dropping them.
    const start = drawn === BigInt(compacted) && drawn > 0n ? drawn + 1n : drawn;
    return {
      key,
      rangeEnd: this.#end(key),
      startRevision: start > BigInt(revision + 1) ? BigInt(revision + 1) : start,
      filters: this.#some() ? [this.#random.below(2)] : [],
      prevKv: this.#some(0.5),
      fragment: this.#some(),
    };
  }

  #delete(open: boolean): MessageInitShape<typeof KV.method.deleteRange.input> {
    const key = this.#key();
    const end = this.#end(key);
    const rangeEnd = !open && end.equals(bytes('\0')) ? bytes('') : end;
    return { key, rangeEnd, prevKv: this.#some(0.5) };
  }

  #txn(standing: Standing, depth: number): TxnInit {
    const list = (most: number): number[] =>
      Array.from({ length: this.#random.below(most + 1) }, (_, n) => n);
    return {
      compare: list(2).map(() => this.#compare(standing)),
      success: this.#operations(standing, depth),
      failure: this.#operations(standing, depth),
    };
  }

  #operation(standing: Standing, depth: number): OpInit {
    const dice = this.#random.below(10);
    if (dice < 3) return { request: { case: 'requestRange', value: this.#range(standing) } };
    if (dice < 7) return { request: { case: 'requestPut', value: this.#put() } };
    if (dice < 9 || depth > 1) {
      return { request: { case: 'requestDeleteRange', value: this.#delete(false) } };
    }
    return { request: { case: 'requestTxn', value: this.#txn(standing, depth + 1) } };
  }

  /** One nested transaction at most: of what two of them write etcd lets pass what Waymark's engines refuse. */
  #operations(standing: Standing, depth: number): OpInit[] {
    const all = Array.from({ length: this.#random.below(4) }, () =>
      this.#operation(standing, depth),
    );
    const nested = all.filter(({ request }) => request?.case === 'requestTxn');
    return all.filter((one) => !nested.slice(1).includes(one));
  }

  #compare(
    standing: Standing,
  ): MessageInitShape<typeof KV.method.txn.input>['compare'] extends (infer C)[] | undefined
    ? C
    : never {
    const key = this.#key();
    const target = this.#random.pick(Object.values(compareTarget));
    const number = BigInt(this.#random.below(4));
    const revision = this.#revision(standing);
    const unions = {
      [compareTarget.version]: { case: 'version', value: number },
      [compareTarget.create]: { case: 'createRevision', value: revision },
      [compareTarget.mod]: { case: 'modRevision', value: revision },
      [compareTarget.value]: { case: 'value', value: bytes(this.#random.pick(values)) },
      [compareTarget.lease]: { case: 'lease', value: this.#lease(0) },
    } as const;
    return {
      key,
      rangeEnd: this.#some(0.4) ? this.#end(key) : bytes(''),
      result: this.#random.pick(Object.values(compareResult)),
      target,
      targetUnion: this.#some(0.95) ? unions[target] : { case: undefined },
    };
  }
}

/** What a call is answered with, without what tells one server from another: ids, and time that is left. A watch writes before, and `marked` lists at which revisions. */
export async function answerOf(api: EtcdApi, { method, request }: GeneratedCall): Promise<unknown> {
  if (method.name === Watch.method.watch.name) return await watched(api, request as WatchInit);
  try {
    const deadline = Date.now() + callMsMax;
    const message = request as MessageInitShape<DescMessage>;
    const answer = await api.call(method, message, { deadline });
    return JSON.parse(JSON.stringify(toJson(method.output, answer), withoutOwn)) as unknown;
  } catch (error) {
    const { code, details } = error as ServiceError;
    if (details === undefined) throw error;
    return { code, text: details };
  }
}

/**
 * What a watch tells up to the present, which is marked by two writes of its first key: a put and a delete, one of which it sees whatever it
 * filters. How events are spread over answers, and what revision has been come to with each, is a matter of time.
 */
async function watched(api: EtcdApi, create: WatchInit): Promise<unknown> {
  const { watch } = Watch.method;
  const key = create.key === undefined || create.key.length === 0 ? bytes('\0') : create.key;
  const put = await api.call(KV.method.put, { key, value: bytes('mark') });
  const removed = await api.call(KV.method.deleteRange, { key });
  const last = create.filters?.includes(noDelete) === true ? put : removed;
  const stream = api.stream(watch);
  const late = setTimeout(() => stream.destroy(new Error('a watch told nothing')), watchMsMax);
  const told: unknown[] = [];
  try {
    stream.write({ requestUnion: { case: 'createRequest', value: create } });
    for await (const response of stream as AsyncIterable<WatchResponse>) {
      const { events, ...rest } = toJson(watch.output, response) as { events?: unknown[] };
      if (events === undefined) told.push(rest);
      else told.push(...events);
      const seen = response.events.at(-1)?.kv?.modRevision ?? 0n;
      if (response.canceled || seen >= (last.header?.revision ?? 0n)) break;
    }
  } finally {
    clearTimeout(late);
    stream.on('error', () => {});
    stream.cancel();
  }
  const plain = told.map((one) => ({ ...(one as object), header: undefined }));
  return {
    header: { revision: String(removed.header?.revision) },
    marked: [put, removed].map(({ header }) => ({ revision: String(header?.revision) })),
    told: JSON.parse(JSON.stringify(plain)) as unknown,
  };
}

const noDelete = 1;
const watchMsMax = 20_000;
const callMsMax = 20_000;

function withoutOwn(name: string, value: unknown): unknown {
  if (['clusterId', 'memberId', 'raftTerm', 'TTL'].includes(name)) return undefined;
  // In which order is nobody's promise: etcd goes through a map.
  if (name === 'keys') return [...(value as string[])].sort();
  return name === 'leases' ? (value as { ID: string }[]).map(({ ID }) => ID).sort() : value;
}
