import type { ByteString } from '../core/engine.js';
import { arrayToBytes, bytesToArray, bytesToText, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import type { StashFoundKey, StashKey, StashKeyPart } from './stash-types.js';

/**
 * Keys of the stash as bytes (rules D7.1 to D7.3). A text is its UTF-8 as it is, and all others begin with a byte that no UTF-8 has, so no two keys share their bytes:
 *
 *   f8  a number: its double, with the sign flipped, or all bits of a negative one
 *   f9  bytes, as they are
 *   fa  a bigint, as in a tuple
 *   fb  a tuple: its parts, one after the other
 *
 * Parts of a tuple tell where they end, so the parts that a tuple begins with are a prefix of it. They are those of FoundationDB's tuple layer: 01 bytes and 02 text, up to a zero, each zero in it
 * followed by ff; 21 a number as above; 0c to 1c a whole number in as many bytes as it takes, 0b and 1d a longer one. `<` of the bytes is `<` of the values within each type.
 */

const tags = { number: '\xf8', bytes: '\xf9', bigint: '\xfa', tuple: '\xfb' } as const;
const parts = { bytes: '\x01', text: '\x02', zero: 0x14, double: '\x21' } as const;
/** A whole number has its length beside the code where it has so many bytes at most. */
const shortMax = 8;
const longMax = 255;

/** @throws {WaymarkError} `invalid` for what is no key */
export function encodeKey(key: StashKey): ByteString {
  if (typeof key === 'string') return encodeText(key);
  if (typeof key === 'number') return tags.number + encodeNumber(key);
  if (typeof key === 'bigint') return tags.bigint + encodeWhole(key);
  if (Array.isArray(key)) {
    return tags.tuple + (key as readonly StashKeyPart[]).map(encodePart).join('');
  }
  return tags.bytes + bytesOf(key as StashKeyPart);
}

/** What all keys begin with that begin so. @throws {WaymarkError} `invalid` */
export function encodePrefix(
  prefix: string | Uint8Array | readonly StashKeyPart[] | undefined,
): ByteString {
  if (prefix === undefined || prefix === '') return '';
  const possible =
    typeof prefix === 'string' || prefix instanceof Uint8Array || Array.isArray(prefix);
  if (possible) return encodeKey(prefix);
  throw notA('prefix', prefix);
}

/** @throws {WaymarkError} `corrupt` for bytes that `encodeKey` makes of nothing */
export function decodeKey(bytes: ByteString): StashFoundKey {
  const rest = bytes.slice(1);
  switch (bytes[0]) {
    case tags.number:
      return new PartReader(rest, bytes).number();
    case tags.bytes:
      return bytesToArray(rest);
    case tags.bigint:
      return new PartReader(rest, bytes).part() as bigint;
    case tags.tuple: {
      const reader = new PartReader(rest, bytes);
      const found: Exclude<StashFoundKey, readonly unknown[]>[] = [];
      while (!reader.done) found.push(reader.part());
      return found;
    }
    default: {
      const text = bytesToText(bytes);
      if (textToBytes(text) === bytes) return text;
      throw unreadable(bytes);
    }
  }
}

function encodePart(part: StashKeyPart): ByteString {
  if (typeof part === 'string') return parts.text + ended(wellFormed(part));
  if (typeof part === 'number') return parts.double + encodeNumber(part);
  if (typeof part === 'bigint') return encodeWhole(part);
  return parts.bytes + ended(bytesOf(part));
}

function encodeText(text: string): ByteString {
  if (text !== '') return wellFormed(text);
  throw new WaymarkError('invalid', 'a key of the stash has at least one byte');
}

function wellFormed(text: string): ByteString {
  const bytes = textToBytes(text);
  if (bytes === text || !/\p{Surrogate}/u.test(text)) return bytes;
  throw new WaymarkError('invalid', 'a key of the stash holds a lone surrogate');
}

function bytesOf(part: StashKeyPart): ByteString {
  if (part instanceof Uint8Array) return arrayToBytes(part);
  const keyed = part as { readonly toKey?: unknown } | null | undefined;
  if (typeof keyed?.toKey !== 'function') throw notA('key', part);
  const bytes = (keyed as { toKey(): unknown }).toKey();
  if (bytes instanceof Uint8Array) return arrayToBytes(bytes);
  throw notA('key (what its toKey gave)', bytes);
}

function ended(bytes: ByteString): ByteString {
  return `${bytes.replaceAll('\0', '\0\xff')}\0`;
}

const eight = Buffer.alloc(8);

function encodeNumber(number: number): ByteString {
  if (Number.isNaN(number)) throw new WaymarkError('invalid', 'NaN is no key of the stash');
  // There is one zero.
  eight.writeDoubleBE(number + 0);
  flip(((eight[0] as number) & 0x80) !== 0);
  return eight.toString('latin1');
}

function flip(all: boolean): void {
  if (all) for (let i = 0; i < 8; i++) eight[i] = (eight[i] as number) ^ 0xff;
  else eight[0] = (eight[0] as number) ^ 0x80;
}

/** Of a negative one all bits are flipped, the length's too, so that what is farther from zero sorts first. */
function encodeWhole(number: bigint): ByteString {
  if (number === 0n) return String.fromCharCode(parts.zero);
  const negative = number < 0n;
  const hex = (negative ? -number : number).toString(16);
  const size = (hex.length + 1) >> 1;
  if (size > longMax) throw new WaymarkError('invalid', `a bigint of ${size} bytes is no key`);
  const bytes = Buffer.from(hex.padStart(size * 2, '0'), 'hex');
  if (negative) for (let i = 0; i < size; i++) bytes[i] = (bytes[i] as number) ^ 0xff;
  const short = size <= shortMax;
  const code = parts.zero + (negative ? -1 : 1) * (short ? size : shortMax + 1);
  const length = short ? '' : String.fromCharCode(negative ? size ^ 0xff : size);
  return String.fromCharCode(code) + length + bytes.toString('latin1');
}

class PartReader {
  readonly #bytes: ByteString;
  /** To be shown. */
  readonly #whole: ByteString;
  #at = 0;

  constructor(bytes: ByteString, whole: ByteString) {
    this.#bytes = bytes;
    this.#whole = whole;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  part(): string | number | bigint | Uint8Array {
    const code = this.#take(1);
    if (code === parts.text) return bytesToText(this.#ended());
    if (code === parts.bytes) return bytesToArray(this.#ended());
    if (code === parts.double) return this.number();
    return this.#integer(code.charCodeAt(0) - parts.zero);
  }

  number(): number {
    eight.write(this.#take(8), 'latin1');
    flip(((eight[0] as number) & 0x80) === 0);
    return eight.readDoubleBE();
  }

  #integer(code: number): bigint {
    if (Math.abs(code) > shortMax + 1) throw unreadable(this.#whole);
    const negative = code < 0;
    let size = Math.abs(code);
    if (size > shortMax) size = this.#take(1).charCodeAt(0) ^ (negative ? 0xff : 0);
    const bytes = Buffer.from(this.#take(size), 'latin1');
    if (negative) for (let i = 0; i < size; i++) bytes[i] = (bytes[i] as number) ^ 0xff;
    const value = BigInt(`0x0${bytes.toString('hex')}`);
    return negative ? -value : value;
  }

  #ended(): ByteString {
    for (let at = this.#at; ; at++) {
      at = this.#bytes.indexOf('\0', at);
      if (at < 0) throw unreadable(this.#whole);
      if (this.#bytes[at + 1] === '\xff') continue;
      const text = this.#bytes.slice(this.#at, at).replaceAll('\0\xff', '\0');
      this.#at = at + 1;
      return text;
    }
  }

  #take(count: number): ByteString {
    const taken = this.#bytes.slice(this.#at, this.#at + count);
    if (taken.length < count) throw unreadable(this.#whole);
    this.#at += count;
    return taken;
  }
}

function notA(what: string, value: unknown): WaymarkError {
  const shown = value === null ? 'null' : typeof value;
  return new WaymarkError(
    'invalid',
    `${shown} is no ${what} of the stash: take a text, bytes, a number, a bigint, an array of these or what has toKey()`,
  );
}

function unreadable(bytes: ByteString): WaymarkError {
  const hex = Buffer.from(bytes.slice(0, 32), 'latin1').toString('hex');
  return new WaymarkError('corrupt', `the stash holds a key of an unknown kind: ${hex}`);
}
