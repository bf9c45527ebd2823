import { latin1Write } from '../core/latin1.js';
import { depthMax, kinds, plainMax, StructuredReader, version } from './structured-reader.js';
import type { Codec } from './types.js';

/**
 * Values that structured data is made of: null, booleans, numbers (NaN, infinities and -0 among them), bigints, texts, Date, Uint8Array, arrays, plain objects, Map, Set, and undefined within them.
 * What has a class of its own, functions and symbols are refused, and so are cycles.
 */
export const structured: Codec<unknown> = {
  encode: (value) => Uint8Array.from(encodeStructured(value)),
  decode: (bytes) => decodeStructured(bytes, 0, bytes.length),
};

/** As `structured.encode`, into bytes that hold until the next call. */
export function encodeStructured(value: unknown): Uint8Array {
  scratch.start();
  scratch.byte(version);
  write(scratch, value, 0);
  return scratch.taken();
}

/** As `structured.decode`, of a part of a block. */
export function decodeStructured(block: Uint8Array, start: number, end: number): unknown {
  const reader = new StructuredReader(asBuffer(block), start, end);
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

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
