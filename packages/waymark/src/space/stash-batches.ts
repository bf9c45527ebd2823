import { textToBytes } from '../core/bytes.js';
import type { ByteString } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { utf8Slice } from '../core/latin1.js';
import { answerBytesMax, partKeysMax } from '../stash/node.js';
import { PackedCursor, Packer } from '../stash/packed.js';
import { json, text } from './codecs.js';
import { decodeKey, encodeKey } from './stash-keys.js';
import type { StashFoundKey, StashKey } from './stash-types.js';
import { decodeStructured, encodeStructured, structured } from './structured.js';
import type { Codec } from './types.js';
import type { UnderWay } from './under-way.js';

export { type Pace, UnderWay } from './under-way.js';

/** Batches of the stash on the client's side: keys and values into blocks, findings into values, several blocks under way. */

type Many<T> = Iterable<T> | AsyncIterable<T>;

export interface Part<I> {
  readonly block: Uint8Array;
  readonly items: readonly I[];
  /** Another one is there. False as well where that is not known yet. */
  readonly more: boolean;
}

type Pack<I> = (packer: Packer, item: I) => void;

export function packKey(packer: Packer, key: StashKey): void {
  packer.key(encodeKey(key));
}

/** @param value  null: delete */
export function packPut(
  packer: Packer,
  key: StashKey,
  value: Uint8Array | ByteString | null,
  ttlMs: number,
): void {
  packer.unstamped(encodeKey(key), value, ttlMs);
}

export function packed(pack: (packer: Packer) => void): Uint8Array {
  const packer = new Packer();
  pack(packer);
  return packer.take();
}

/** Items in blocks of at most 1 000 keys or about 1 MiB. */
export function partsOf<I>(items: Many<I>, pack: Pack<I>): Many<Part<I>> {
  const gather = new Gathering(pack);
  return Symbol.asyncIterator in items ? gather.later(items) : gather.now(items);
}

class Gathering<I> {
  readonly #pack: Pack<I>;
  readonly #packer = new Packer();
  #items: I[] = [];

  constructor(pack: Pack<I>) {
    this.#pack = pack;
  }

  *now(items: Iterable<I>): Generator<Part<I>> {
    for (const item of items) {
      if (this.#full) yield this.#take(true);
      this.#add(item);
    }
    if (this.#items.length > 0) yield this.#take(false);
  }

  async *later(items: AsyncIterable<I>): AsyncGenerator<Part<I>> {
    for await (const item of items) {
      this.#add(item);
      // The next item may be long in coming.
      if (this.#full) yield this.#take(false);
    }
    if (this.#items.length > 0) yield this.#take(false);
  }

  get #full(): boolean {
    return this.#items.length === partKeysMax || this.#packer.bytes >= answerBytesMax;
  }

  #add(item: I): void {
    this.#pack(this.#packer, item);
    this.#items.push(item);
  }

  #take(more: boolean): Part<I> {
    const items = this.#items;
    this.#items = [];
    const block = this.#packer.take();
    this.#packer.reserve(block.length);
    return { block, items, more };
  }
}

/** What became of each part, in their order; several are under way. When one fails, those behind it are not waited for. */
export async function* inTurn<I, R>(
  parts: Many<Part<I>>,
  run: (part: Part<I>) => Promise<R>,
  underWay: UnderWay,
): AsyncGenerator<readonly [part: Part<I>, result: R], void, void> {
  const sent: { readonly part: Part<I>; readonly result: Promise<R> }[] = [];
  const first = async (): Promise<readonly [Part<I>, R]> => {
    const { part, result } = sent.shift() as (typeof sent)[number];
    const told = await result;
    underWay.taken(part.block.length);
    return [part, told];
  };
  for await (const part of parts) {
    const result = run(part);
    // It is told in its turn.
    underWay.watch(result).catch(() => undefined);
    sent.push({ part, result });
    underWay.sent(part.block.length);
    while (underWay.full) yield await first();
  }
  while (sent.length > 0) yield await first();
}

type Read = (keys: Uint8Array) => Promise<Uint8Array>;

/**
 * What is told of packed keys for which an answer had no room, in their order. They are asked for when they are wanted, in parts of as many as there was room for, several under way: so of a thousand large
 * values some answers are there at a time.
 *
 * @param count  keys that were told of, the first ones
 */
export async function* answersBehind(
  keys: Uint8Array,
  count: number,
  { read, underWay }: { readonly read: Read; readonly underWay: UnderWay },
): AsyncGenerator<Uint8Array, void, void> {
  const parts = blocksOf(behind(keys, count), count);
  for await (const [{ block }, told] of inTurn(parts, (part) => read(part.block), underWay)) {
    yield told;
    // Where values grow larger: one answer after the other.
    for (let left = behind(block, countOf(told)); left.length > 0;) {
      const more = await read(left);
      yield more;
      left = behind(left, countOf(more));
    }
  }
}

/** Packed keys without the first ones. */
function behind(keys: Uint8Array, count: number): Uint8Array {
  const cursor = new PackedCursor(keys);
  for (let i = 0; i < count; i++) cursor.nextKey();
  return keys.subarray(cursor.end);
}

function countOf(answer: Uint8Array): number {
  let count = 0;
  for (const told = new PackedCursor(answer); !told.done; count++) told.nextVersion();
  return count;
}

/** Packed keys in parts of so many. */
function* blocksOf(keys: Uint8Array, count: number): Generator<Part<never>> {
  const cursor = new PackedCursor(keys);
  for (let start = 0; !cursor.done; start = cursor.end) {
    for (let i = 0; i < count && !cursor.done; i++) cursor.nextKey();
    yield { block: keys.subarray(start, cursor.end), items: [], more: false };
  }
}

/** The values of the keys that an answer tells of. */
export function valuesOf<T>(answer: Uint8Array, codec: Codec<T>): (T | undefined)[] {
  const values: (T | undefined)[] = [];
  for (const told = new PackedCursor(answer); !told.done;) {
    told.nextVersion();
    values.push(valueAt(told, codec));
  }
  if (values.length === 0) throw new WaymarkError('internal', 'the stash told of no key');
  return values;
}

/** Of one key. */
export function isThere(findings: Uint8Array): boolean {
  const told = new PackedCursor(findings);
  told.nextVersion();
  return told.valueStart >= 0;
}

/** @returns undefined for what is not there. @throws {WaymarkError} `invalid` when the bytes are not the codec's */
function valueAt<T>(told: PackedCursor, codec: Codec<T>): T | undefined {
  const { block, valueStart, valueEnd } = told;
  if (valueStart < 0) return undefined;
  try {
    if ((codec as Codec<unknown>) === structured) {
      return decodeStructured(block, valueStart, valueEnd) as T;
    }
    // The two most used need no array in between.
    if ((codec as Codec<unknown>) === text) return utf8Slice(block, valueStart, valueEnd) as T;
    if ((codec as Codec<unknown>) === json) {
      return JSON.parse(utf8Slice(block, valueStart, valueEnd)) as T;
    }
    return codec.decode(block.subarray(valueStart, valueEnd));
  } catch (cause) {
    throw codecError('decoded', cause);
  }
}

/** Bytes that hold until the next call, or a byte string. @throws {WaymarkError} `invalid` with the codec's own error as cause */
export function bytesOf<T>(codec: Codec<T>, value: T): Uint8Array | ByteString {
  if (value === undefined) {
    const why = 'undefined stands for what is not there: delete the key, or put null';
    throw new WaymarkError('invalid', why);
  }
  try {
    if ((codec as Codec<unknown>) === structured) return encodeStructured(value);
    const encoded = codec.encode(value);
    return typeof encoded === 'string' ? textToBytes(encoded) : encoded;
  } catch (cause) {
    throw codecError('encoded', cause);
  }
}

export function entriesOf<T>(
  page: Uint8Array,
  codec: Codec<T>,
): (readonly [key: StashFoundKey, value: T])[] {
  const entries: (readonly [StashFoundKey, T])[] = [];
  for (const cursor of eachOf(page)) {
    entries.push([keyAt(cursor), valueAt(cursor, codec) as T]);
  }
  return entries;
}

export function keysOf(page: Uint8Array): StashFoundKey[] {
  return Array.from(eachOf(page), keyAt);
}

function* eachOf(page: Uint8Array): Generator<PackedCursor> {
  for (const cursor = new PackedCursor(page); !cursor.done;) {
    cursor.nextKey();
    cursor.nextVersion();
    yield cursor;
  }
}

function keyAt({ block, keyStart, keyEnd }: PackedCursor): StashFoundKey {
  return decodeKey(block.toString('latin1', keyStart, keyEnd));
}

function codecError(verb: string, cause: unknown): WaymarkError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WaymarkError('invalid', `a value of the stash cannot be ${verb}: ${why}`, {}, cause);
}
