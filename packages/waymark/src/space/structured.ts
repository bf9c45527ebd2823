import { latin1Slice, latin1Write, utf8Slice } from '../core/latin1.js';
import type { Codec } from './types.js';

/**
 * Structured values as bytes, the default of the stash. A first byte tells the version; then values, each by a byte that tells its kind:
 *
 *   00 undefined  01 null  02 false  03 true
 *   04 whole number from 0 on: a varint          05 one below 0: the varint of -1 - n
 *   06 any other number: a double                07 bigint, 08 one below 0: length, bytes of the amount
 *   09 text: length, UTF-8                       0a text with lone surrogates: length, UTF-16
 *   0b bytes: length, bytes                      0c date: a double, ms since 1970
 *   0d array: count, values                      0e object: count, pairs of text and value
 *   0f map: count, pairs of values               10 set: count, values
 *   20 to 7f text of 0 to 95 bytes, ASCII
 *
 * Lengths and counts are varints; numbers are big endian. JSON has no bytes, dates or NaN, and is longer; MessagePack needs extensions for most of these.
 */

const version = 1;
const depthMax = 100;

const kinds = {
  undefined: 0x00,
  null: 0x01,
  false: 0x02,
  true: 0x03,
  whole: 0x04,
  negative: 0x05,
  double: 0x06,
  bigint: 0x07,
  negativeBigint: 0x08,
  text: 0x09,
  wideText: 0x0a,
  bytes: 0x0b,
  date: 0x0c,
  array: 0x0d,
  object: 0x0e,
  map: 0x0f,
  set: 0x10,
  plainText: 0x20,
} as const;
const plainMax = 0x7f - kinds.plainText;

/**
 * Values that structured data is made of: null, booleans, numbers (NaN, infinities and -0 among them), bigints, texts, Date, Uint8Array, arrays, plain objects, Map, Set, and undefined within them.
 * What has a class of its own, functions and symbols are refused, and so are cycles.
 */
export const structured: Codec<unknown> = {
  encode: (value) => Uint8Array.from(encodeStructured(value)),
  decode: (bytes) => decodeStructured(asBuffer(bytes), 0, bytes.length),
};

/** As `structured.encode`, into bytes that hold until the next call. */
export function encodeStructured(value: unknown): Uint8Array {
  scratch.start();
  scratch.byte(version);
  write(scratch, value, 0);
  return scratch.taken();
}

/** As `structured.decode`, of a part of a block. */
export function decodeStructured(block: Buffer, start: number, end: number): unknown {
  const reader = new StructuredReader(block, start, end);
  const found = reader.byte();
  if (found !== version) throw new TypeError(`its version is ${found}, not ${version}`);
  const value = reader.value(0);
  if (reader.at !== end) throw new TypeError('it goes on behind its end');
  return value;
}

/** Bytes that grow. */
class Scratch {
  #buffer = Buffer.allocUnsafeSlow(4_096);
  #at = 0;

  start(): void {
    // One large value does not keep its room for ever.
    if (this.#buffer.length > 1_048_576) this.#buffer = Buffer.allocUnsafeSlow(4_096);
    this.#at = 0;
  }

  taken(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  byte(value: number): void {
    this.#ensure(1);
    this.#buffer[this.#at++] = value;
  }

  uint(value: number): void {
    this.#ensure(8);
    let rest = value;
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 128)) {
      this.#buffer[this.#at++] = (rest % 128) | 0x80;
    }
    for (; rest > 0x7f; rest >>>= 7) this.#buffer[this.#at++] = (rest & 0x7f) | 0x80;
    this.#buffer[this.#at++] = rest;
  }

  double(value: number): void {
    this.#ensure(8);
    this.#at = this.#buffer.writeDoubleBE(value, this.#at);
  }

  bytes(kind: number, value: Uint8Array): void {
    this.byte(kind);
    this.uint(value.length);
    this.#ensure(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    if (length === value.length) {
      if (length <= plainMax) this.byte(kinds.plainText + length);
      else {
        this.byte(kinds.text);
        this.uint(length);
      }
      this.#ensure(length);
      latin1Write(this.#buffer, value, this.#at, length);
      this.#at += length;
    } else if (/\p{Surrogate}/u.test(value))
      this.bytes(kinds.wideText, Buffer.from(value, 'utf16le'));
    else this.bytes(kinds.text, Buffer.from(value, 'utf8'));
  }

  #ensure(more: number): void {
    const wanted = this.#at + more;
    if (wanted <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}

const scratch = new Scratch();

function write(to: Scratch, value: unknown, depth: number): void {
  switch (typeof value) {
    case 'undefined':
      return to.byte(kinds.undefined);
    case 'boolean':
      return to.byte(value ? kinds.true : kinds.false);
    case 'number':
      return writeNumber(to, value);
    case 'bigint':
      return writeBigint(to, value);
    case 'string':
      return to.text(value);
    case 'object':
      if (value === null) return to.byte(kinds.null);
      if (depth > depthMax) throw new TypeError(`it is deeper than ${depthMax}, or a cycle`);
      return writeObject(to, value, depth + 1);
    default:
      throw new TypeError(`a ${typeof value} has no bytes`);
  }
}

function writeNumber(to: Scratch, value: number): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    to.byte(kinds.double);
    return to.double(value);
  }
  to.byte(value < 0 ? kinds.negative : kinds.whole);
  to.uint(value < 0 ? -1 - value : value);
}

function writeBigint(to: Scratch, value: bigint): void {
  const hex = (value < 0n ? -value : value).toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length & 1), '0'), 'hex');
  to.bytes(value < 0n ? kinds.negativeBigint : kinds.bigint, bytes);
}

function writeObject(to: Scratch, value: object, depth: number): void {
  if (Array.isArray(value)) {
    to.byte(kinds.array);
    to.uint(value.length);
    for (let i = 0; i < value.length; i++) write(to, value[i], depth);
  } else if (value instanceof Uint8Array) to.bytes(kinds.bytes, value);
  else if (value instanceof Date) {
    to.byte(kinds.date);
    to.double(value.getTime());
  } else if (value instanceof Map) {
    to.byte(kinds.map);
    to.uint(value.size);
    for (const [key, item] of value) {
      write(to, key, depth);
      write(to, item, depth);
    }
  } else if (value instanceof Set) {
    to.byte(kinds.set);
    to.uint(value.size);
    for (const item of value) write(to, item, depth);
  } else writePlain(to, value, depth);
}

function writePlain(to: Scratch, value: object, depth: number): void {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    const name = (value.constructor as { readonly name?: string } | undefined)?.name ?? 'class';
    throw new TypeError(`a ${name} is no plain object: give the index a codec for it`);
  }
  const names = Object.keys(value);
  to.byte(kinds.object);
  to.uint(names.length);
  for (const name of names) {
    to.text(name);
    write(to, (value as Readonly<Record<string, unknown>>)[name], depth);
  }
}

class StructuredReader {
  at: number;
  readonly #block: Buffer;
  readonly #end: number;

  constructor(block: Buffer, start: number, end: number) {
    this.#block = block;
    this.at = start;
    this.#end = end;
  }

  byte(): number {
    if (this.at >= this.#end) throw early();
    return this.#block[this.at++] as number;
  }

  value(depth: number): unknown {
    const kind = this.byte();
    if (kind >= kinds.plainText && kind <= 0x7f) return this.#plain(kind - kinds.plainText);
    switch (kind) {
      case kinds.undefined:
        return undefined;
      case kinds.null:
        return null;
      case kinds.false:
        return false;
      case kinds.true:
        return true;
      case kinds.whole:
        return this.#uint();
      case kinds.negative:
        return -1 - this.#uint();
      case kinds.double:
        return this.#double();
      case kinds.bigint:
        return this.#bigint();
      case kinds.negativeBigint:
        return -this.#bigint();
      case kinds.date:
        return new Date(this.#double());
      case kinds.text:
      case kinds.wideText:
      case kinds.bytes:
        return this.#bytes(kind);
      default:
        if (depth > depthMax) throw new TypeError(`it is deeper than ${depthMax}`);
        return this.#collection(kind, depth + 1);
    }
  }

  #collection(kind: number, depth: number): unknown {
    const count = this.#uint();
    if (count > this.#end - this.at) throw early();
    switch (kind) {
      case kinds.array: {
        const items: unknown[] = [];
        for (let i = 0; i < count; i++) items.push(this.value(depth));
        return items;
      }
      case kinds.object: {
        const object: Record<string, unknown> = {};
        for (let i = 0; i < count; i++) define(object, this.value(depth), this.value(depth));
        return object;
      }
      case kinds.map: {
        const map = new Map<unknown, unknown>();
        for (let i = 0; i < count; i++) map.set(this.value(depth), this.value(depth));
        return map;
      }
      case kinds.set: {
        const set = new Set<unknown>();
        for (let i = 0; i < count; i++) set.add(this.value(depth));
        return set;
      }
      default:
        throw new TypeError(`it holds a value of an unknown kind, ${kind}`);
    }
  }

  #plain(length: number): string {
    const start = this.#skip(length);
    return latin1Slice(this.#block, start, start + length);
  }

  #bytes(kind: number): unknown {
    const length = this.#uint();
    const start = this.#skip(length);
    if (kind === kinds.text) return utf8Slice(this.#block, start, start + length);
    const bytes = this.#block.subarray(start, start + length);
    return kind === kinds.bytes ? Uint8Array.from(bytes) : bytes.toString('utf16le');
  }

  #bigint(): bigint {
    const length = this.#uint();
    const start = this.#skip(length);
    return BigInt(`0x0${this.#block.toString('hex', start, start + length)}`);
  }

  #double(): number {
    return this.#block.readDoubleBE(this.#skip(8));
  }

  #uint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80 && value <= Number.MAX_SAFE_INTEGER) return value;
      if (factor >= 2 ** 49) throw new TypeError('it holds a number beyond 2^53-1');
    }
  }

  #skip(length: number): number {
    const start = this.at;
    if (length > this.#end - start) throw early();
    this.at = start + length;
    return start;
  }
}

/** `__proto__` is a name as any other. */
function define(object: Record<string, unknown>, name: unknown, value: unknown): void {
  if (typeof name !== 'string') throw new TypeError('it names a property by no text');
  if (name === '__proto__') {
    Object.defineProperty(object, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else object[name] = value;
}

function early(): TypeError {
  return new TypeError('it ends early');
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
