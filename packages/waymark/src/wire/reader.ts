import type { ByteString, LeaseId } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { latin1Slice, utf8Slice } from '../core/latin1.js';
import { readLeaseId } from '../core/lease-id.js';

/** Longer texts are decoded without a look. */
const plainMax = 64;

/** Of namespaces, sessions, owners: each has its own last one. */
export const names = { namespace: 0, session: 1, owner: 2 } as const;
type NameKind = (typeof names)[keyof typeof names];

/** A text of this frame, and where it lies. */
interface LastName {
  text: string;
  from: number;
  length: number;
}

/** Reads one frame. Whatever the bytes are, each call gives a value of its type or throws `invalid`. */
export class Reader {
  readonly buffer: Buffer;
  position: number;
  readonly #end: number;
  readonly #last: (LastName | undefined)[] = [];

  constructor(buffer: Uint8Array, start = 0, end = buffer.length) {
    this.buffer = asBuffer(buffer);
    this.position = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.position >= this.#end;
  }

  get left(): number {
    return this.#end - this.position;
  }

  byte(): number {
    if (this.position >= this.#end) throw malformed('it ends early');
    return this.buffer[this.position++] as number;
  }

  bool(): boolean {
    return this.byte() !== 0;
  }

  uint(): number {
    const byte = this.byte();
    if (byte < 0x80) return byte;
    const value = this.#longer(byte);
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number is beyond 2^53-1');
    return value;
  }

  /** The id of a lease, or 0. */
  leaseId(): LeaseId {
    const start = this.position;
    const byte = this.byte();
    if (byte < 0x80) return byte;
    const value = this.#longer(byte);
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    this.position = start;
    const id = readLeaseId(() => this.byte());
    if (id === null) throw malformed('a number is beyond 64 bits');
    return id;
  }

  /** A number whose first byte is not its last. Inexact beyond 2^53-1, and Infinity, with its end not found, for more than eight bytes. */
  #longer(first: number): number {
    const { buffer } = this;
    let value = first & 0x7f;
    let factor = 128;
    for (let count = 1; count < 8; count++) {
      if (this.position >= this.#end) throw malformed('it ends within a number');
      const byte = buffer[this.position++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    return Infinity;
  }

  double(): number {
    if (this.left < 8) throw malformed('it ends within a number');
    const value = this.buffer.readDoubleBE(this.position);
    this.position += 8;
    return value;
  }

  /** How many items follow; each takes at least `itemBytes`, so that no array outgrows the frame it came in. */
  count(itemBytes = 1): number {
    const count = this.uint();
    if (count * itemBytes > this.left) throw malformed('it counts more items than it holds');
    return count;
  }

  bytes(): ByteString {
    const length = this.uint();
    const start = this.position;
    if (length > this.#end - start) throw malformed('it ends within a string');
    if (length === 0) return '';
    this.position = start + length;
    return latin1Slice(this.buffer, start, start + length);
  }

  text(): string {
    const length = this.uint();
    const start = this.position;
    if (length > this.#end - start) throw malformed('it ends within a text');
    this.position = start + length;
    // Most texts are short and plain, and their bytes are looked at faster than decoded.
    const plain = length <= plainMax && isAscii(this.buffer, start, this.position);
    return plain
      ? latin1Slice(this.buffer, start, this.position)
      : utf8Slice(this.buffer, start, this.position);
  }

  /** A text that is mostly the same as the one before of its kind: compared, not decoded. */
  name(kind: NameKind = 0): string {
    const start = this.position;
    const length = this.uint();
    const from = this.position;
    if (length > this.#end - from) throw malformed('it ends within a text');
    const last = (this.#last[kind] ??= { text: '', from: 0, length: -1 });
    if (last.length === length && sameBytes(this.buffer, from, last.from, length)) {
      this.position = from + length;
      return last.text;
    }
    this.position = start;
    last.text = this.text();
    last.from = from;
    last.length = length;
    return last.text;
  }

  json(): unknown {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw malformed('it holds no valid JSON', cause);
    }
  }

  blob(): Buffer {
    const length = this.uint();
    if (length > this.left) throw malformed('it ends within a part');
    this.position += length;
    return this.buffer.subarray(this.position - length, this.position);
  }
}

export function malformed(why: string, cause?: unknown): WaymarkError {
  return new WaymarkError('invalid', `malformed message: ${why}`, {}, cause);
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isAscii(buffer: Uint8Array, start: number, end: number): boolean {
  let bits = 0;
  for (let at = start; at < end; at++) bits |= buffer[at] as number;
  return bits < 0x80;
}

function sameBytes(buffer: Uint8Array, one: number, other: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (buffer[one + i] !== buffer[other + i]) return false;
  return true;
}
