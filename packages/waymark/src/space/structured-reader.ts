import { latin1Slice, utf8Slice } from '../core/latin1.js';

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

export const version = 1;
export const depthMax = 100;

export const kinds = {
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
export const plainMax = 0x7f - kinds.plainText;

/** Reads what `encodeStructured` wrote, after its first byte. @throws {TypeError} for bytes that are none */
export class StructuredReader {
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
