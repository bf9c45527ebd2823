import type { Clock } from '../core/clock.js';
import type { RecipeCall } from '../core/recipe-call.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import * as calls from '../recipes/stash.js';
import type { HostSpace } from './space.js';
import type { Pace, Part } from './stash-batches.js';
import { encodePrefix } from './stash-keys.js';
import { structured } from './structured.js';
import type { StashChange, StashPage } from '../core/stash.js';
import type {
  Stash,
  StashAcknowledged,
  StashBegun,
  StashCallOptions,
  StashEntries,
  StashFoundKey,
  StashIndex,
  StashIndexOptions,
  StashKey,
  StashPageOptions,
  StashPutOptions,
  StashReadOptions,
  StashRemoveOptions,
  StashRepaired,
  StashSafeToStop,
  StashScanOptions,
  StashStatus,
} from './stash-types.js';
import type { Codec } from './types.js';

type Batches = typeof import('./stash-batches.js');
type Many<T> = Iterable<T> | AsyncIterable<T>;

const deadlineMsDefault = 10_000;
/** The coordinator tells of a deadline that is over; it is given so much longer to. */
const graceMs = 2_000;
const pageMax = 1_000;

/** Loaded with the first call that packs something: a space without a stash needs nothing of it. */
let loading: Promise<Batches> | undefined;
const batches = (): Promise<Batches> => (loading ??= import('./stash-batches.js'));

export class HostStash implements Stash {
  /** Of writes; made with the first batch. */
  pace: Pace | undefined;
  readonly #space: HostSpace;

  constructor(space: HostSpace) {
    this.#space = space;
  }

  get clock(): Clock {
    return this.#space.clock;
  }

  index<T = unknown>(name: string, options: StashIndexOptions<T> = {}): StashIndex<T> {
    return new HostStashIndex<T>(this, name, options);
  }

  async indexes(options: StashCallOptions = {}): Promise<readonly string[]> {
    return await this.run(calls.indexes, { deadlineMs: options.deadlineMs }, options);
  }

  async status(options: StashCallOptions = {}): Promise<StashStatus> {
    return await this.run(calls.status, { deadlineMs: options.deadlineMs }, options);
  }

  drain(nodes: string | readonly string[], options: StashCallOptions = {}): Promise<StashBegun> {
    return this.#change({ kind: 'drain', nodes: [nodes].flat() }, options);
  }

  remove(nodes: string | readonly string[], options: StashRemoveOptions = {}): Promise<StashBegun> {
    return this.#change({ kind: 'remove', nodes: [nodes].flat(), ...options }, options);
  }

  pauseMove(options: StashCallOptions = {}): Promise<StashBegun> {
    return this.#change({ kind: 'pause' }, options);
  }

  resumeMove(options: StashCallOptions = {}): Promise<StashBegun> {
    return this.#change({ kind: 'resume' }, options);
  }

  cancelMove(options: StashCallOptions = {}): Promise<StashBegun> {
    return this.#change({ kind: 'cancel' }, options);
  }

  async safeToStop(node: string, options: StashCallOptions = {}): Promise<StashSafeToStop> {
    const { deadlineMs } = options;
    return await this.run(calls.safeToStop, { node, deadlineMs }, options);
  }

  async repair(options: StashCallOptions = {}): Promise<StashRepaired> {
    const { deadlineMs = limits.deadlineMsMax } = options;
    return await this.run(calls.repair, { deadlineMs }, { ...options, deadlineMs });
  }

  async #change(
    { kind, nodes = [], acceptLoss = false }: StashChange,
    options: StashCallOptions,
  ): Promise<StashBegun> {
    const { deadlineMs } = options;
    return await this.run(calls.change, { kind, nodes, acceptLoss, deadlineMs }, options);
  }

  run<A, R>(call: RecipeCall<A, R>, args: A, options: StashCallOptions): Promise<R> {
    this.#space.checkOpen();
    const { signal, deadlineMs = deadlineMsDefault } = options;
    const withinMs = deadlineMs + graceMs;
    return this.#space.host.run(call, 'default', args, { signal, withinMs });
  }
}

class HostStashIndex<T> implements StashIndex<T> {
  readonly name: string;
  readonly #stash: HostStash;
  readonly #codec: Codec<T>;
  readonly #options: StashIndexOptions<T>;

  constructor(stash: HostStash, name: string, options: StashIndexOptions<T>) {
    checkTtl(options.ttlMs);
    this.name = name;
    this.#stash = stash;
    this.#codec = options.codec ?? (structured as Codec<T>);
    this.#options = options;
  }

  async get(key: StashKey, options: StashReadOptions = {}): Promise<T | undefined> {
    const { packed, packKey, valuesOf } = await batches();
    const keys = packed((packer) => packKey(packer, key));
    const [value] = valuesOf(await this.#read(keys, options), this.#codec);
    return value;
  }

  async has(key: StashKey, options: StashReadOptions = {}): Promise<boolean> {
    const { isThere, packed, packKey } = await batches();
    const keys = packed((packer) => packKey(packer, key));
    return isThere(await this.#read(keys, options, true));
  }

  async put(key: StashKey, value: T, options: StashPutOptions = {}): Promise<StashAcknowledged> {
    const { bytesOf, packed, packPut } = await batches();
    const ttlMs = this.#ttlOf(options);
    const bytes = bytesOf(this.#codec, value);
    return await this.#write(
      packed((packer) => packPut(packer, key, bytes, ttlMs)),
      options,
    );
  }

  async delete(key: StashKey, options: StashCallOptions = {}): Promise<StashAcknowledged> {
    const { packed, packPut } = await batches();
    return await this.#write(
      packed((packer) => packPut(packer, key, null, 0)),
      options,
    );
  }

  async putMany(
    entries: Many<readonly [key: StashKey, value: T]>,
    options: StashPutOptions = {},
  ): Promise<number> {
    const { bytesOf, packPut, partsOf } = await batches();
    const ttlMs = this.#ttlOf(options);
    const parts = partsOf(entries, (packer, [key, value]) =>
      packPut(packer, key, bytesOf(this.#codec, value), ttlMs),
    );
    return await this.#writeAll(parts, options);
  }

  async deleteMany(keys: Many<StashKey>, options: StashCallOptions = {}): Promise<number> {
    const { packPut, partsOf } = await batches();
    const parts = partsOf(keys, (packer, key) => packPut(packer, key, null, 0));
    return await this.#writeAll(parts, options);
  }

  async getMany(keys: Many<StashKey>, options: StashReadOptions = {}): Promise<(T | undefined)[]> {
    const all: (T | undefined)[] = [];
    for await (const [, values] of this.#readParts(keys, options)) {
      for (const value of values) all.push(value);
    }
    return all;
  }

  async *getEach<K extends StashKey>(
    keys: Many<K>,
    options: StashReadOptions = {},
  ): AsyncGenerator<readonly [key: K, value: T | undefined], void, void> {
    for await (const [{ items }, values] of this.#readParts(keys, options)) {
      for (const [i, key] of items.entries()) yield [key, values[i]];
    }
  }

  async *scan(
    options: StashScanOptions = {},
  ): AsyncGenerator<readonly [key: StashFoundKey, value: T], void, void> {
    const { entriesOf } = await batches();
    for await (const { entries } of this.#pages(options, false)) {
      yield* entriesOf(entries, this.#codec);
    }
  }

  async *keys(options: StashScanOptions = {}): AsyncGenerator<StashFoundKey, void, void> {
    const { keysOf } = await batches();
    for await (const { entries } of this.#pages(options, true)) yield* keysOf(entries);
  }

  async page({ limit = pageMax, ...options }: StashPageOptions = {}): Promise<StashEntries<T>> {
    const { entriesOf } = await batches();
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= pageMax)) {
      throw new WaymarkError('invalid', `a page of a scan has 1 to ${pageMax} entries`);
    }
    const { entries, next } = await this.#page(options, limit, false);
    return { entries: entriesOf(entries, this.#codec), next };
  }

  async *#pages(options: StashScanOptions, keysOnly: boolean): AsyncGenerator<StashPage> {
    let { after } = options;
    do {
      const page = await this.#page({ ...options, after }, pageMax, keysOnly);
      yield page;
      after = page.next ?? undefined;
    } while (after !== undefined);
  }

  async #page(options: StashScanOptions, limit: number, keysOnly: boolean): Promise<StashPage> {
    const { after, deadlineMs } = options;
    const prefix = encodePrefix(options.prefix);
    const ask = { index: this.name, prefix, after, limit, keysOnly, deadlineMs };
    return await this.#stash.run(calls.scan, ask, options);
  }

  async *#readParts<K extends StashKey>(
    keys: Many<K>,
    options: StashReadOptions,
  ): AsyncGenerator<readonly [part: { readonly items: readonly K[] }, (T | undefined)[]]> {
    const { answersBehind, inTurn, packKey, partsOf, UnderWay, valuesOf } = await batches();
    const { clock } = this.#stash;
    const read = (some: Uint8Array): Promise<Uint8Array> => this.#read(some, options);
    const sent = inTurn(
      partsOf(keys, packKey),
      ({ block }) => read(block),
      UnderWay.ofReads(clock),
    );
    for await (const [{ block, items }, first] of sent) {
      const values = valuesOf(first, this.#codec);
      let at = values.length;
      yield [{ items: items.slice(0, at) }, values];
      if (at >= items.length) continue;
      const asks = { read, underWay: UnderWay.ofReads(clock) };
      for await (const answer of answersBehind(block, at, asks)) {
        const more = valuesOf(answer, this.#codec);
        yield [{ items: items.slice(at, at + more.length) }, more];
        at += more.length;
      }
    }
  }

  #read(keys: Uint8Array, options: StashReadOptions, keysOnly = false): Promise<Uint8Array> {
    const { level = this.#options.level ?? 'quorum', deadlineMs } = options;
    const ask = { index: this.name, keys, level, keysOnly, deadlineMs };
    return this.#stash.run(calls.read, ask, options);
  }

  async #writeAll<I>(parts: Many<Part<I>>, options: StashCallOptions): Promise<number> {
    const { inTurn, UnderWay } = await batches();
    const pace = (this.#stash.pace ??= UnderWay.newPace());
    const underWay = UnderWay.ofWrites(this.#stash.clock, pace);
    // Not where this one's answer is waited for before the next is sent.
    const write = ({ block, more }: Part<I>): Promise<unknown> =>
      this.#write(block, options, more && !underWay.fills(block.length));
    let count = 0;
    for await (const [{ items }] of inTurn(parts, write, underWay)) count += items.length;
    return count;
  }

  #write(
    entries: Uint8Array,
    options: StashCallOptions,
    more?: boolean,
  ): Promise<StashAcknowledged> {
    const { deadlineMs } = options;
    return this.#stash.run(calls.write, { index: this.name, entries, deadlineMs, more }, options);
  }

  #ttlOf({ ttlMs }: StashPutOptions): number {
    checkTtl(ttlMs);
    return ttlMs ?? this.#options.ttlMs ?? 0;
  }
}

/** @throws {WaymarkError} `invalid` */
function checkTtl(ttlMs: number | undefined): void {
  const max = limits.ttlMsMax;
  if (ttlMs === undefined || (Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= max)) return;
  throw new WaymarkError('invalid', `ttlMs is a whole number from 1 to ${max}, not ${ttlMs}`);
}
