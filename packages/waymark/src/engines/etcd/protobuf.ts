import type { ByteString } from '../../core/engine.js';
import { assert } from '../../core/errors.js';

/** As much of protobuf's encoding as transactions of puts need (protobuf.dev/programming-guides/encoding). */

const [varintType, fixed64Type, bytesType, fixed32Type] = [0, 1, 2, 5];
/** From here on a number is no longer whole in 32 bits. */
const wide = 2 ** 31;

/** Bytes of a varint. */
export function uintSize(value: number): number {
  let size = 1;
  for (let left = value; left >= 128; left = Math.floor(left / 128)) size++;
  return size;
}

/** Bytes of a field of so many bytes, with a number below 16. */
export function bytesSize(length: number): number {
  return 1 + uintSize(length) + length;
}

/**
 * Fields as byte strings, whose sizes nobody has to reckon beforehand: strings are put together without a copy, and become bytes
 * once, all that are sent together. For short messages that is cheaper by half than a buffer for each.
 */
export function bytesField(field: number, bytes: ByteString): ByteString {
  return varint(field * 8 + bytesType) + varint(bytes.length) + bytes;
}

export function uintField(field: number, value: number): ByteString {
  return varint(field * 8 + varintType) + varint(value);
}

function varint(value: number): ByteString {
  if (value < 128) return String.fromCharCode(value);
  return String.fromCharCode((value % 128) | 128) + varint(Math.floor(value / 128));
}

/** Writes a message of a size that is known. */
export class ProtobufWriter {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  /** The head of a field whose `size` bytes are written next. */
  begin(field: number, size: number): void {
    this.#varint(field * 8 + bytesType);
    this.#varint(size);
  }

  bytes(field: number, bytes: Buffer): void {
    this.begin(field, bytes.length);
    this.message(bytes);
  }

  /** Fields that are written already. */
  message(bytes: Buffer): void {
    this.#at += bytes.copy(this.#buffer, this.#at);
  }

  /** Two byte strings as one. */
  text(field: number, first: ByteString, second: ByteString): void {
    this.begin(field, first.length + second.length);
    if (first !== '') this.#at += this.#buffer.write(first, this.#at, 'latin1');
    if (second !== '') this.#at += this.#buffer.write(second, this.#at, 'latin1');
  }

  /** Fields that are encoded already. */
  raw(fields: Uint8Array): void {
    this.#buffer.set(fields, this.#at);
    this.#at += fields.length;
  }

  uint(field: number, value: number): void {
    this.#varint(field * 8 + varintType);
    this.#varint(value);
  }

  done(): Buffer {
    assert(this.#at === this.#buffer.length, 'a message is as long as was reckoned');
    return this.#buffer;
  }

  #varint(value: number): void {
    let left = value;
    for (; left >= wide; left = Math.floor(left / 128))
      this.#buffer[this.#at++] = (left % 128) | 128;
    for (; left >= 128; left >>>= 7) this.#buffer[this.#at++] = (left & 127) | 128;
    this.#buffer[this.#at++] = left;
  }
}

/** Reads a message field by field: after `next` each is read by the method of its type, or skipped. */
export class ProtobufReader {
  field = 0;
  readonly #buffer: Buffer;
  #at = 0;
  #type = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  next(): boolean {
    if (this.#at >= this.#buffer.length) return false;
    const tag = this.uint();
    this.field = Math.floor(tag / 8);
    this.#type = tag % 8;
    return true;
  }

  /** @throws {WaymarkError} `internal` for what is no safe integer (K1), or not whole */
  uint(): number {
    const first = this.#buffer[this.#at];
    if (first !== undefined && first < 128) {
      this.#at++;
      return first;
    }
    return this.#longUint();
  }

  #longUint(): number {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) break;
      scale *= 128;
    }
    assert(Number.isSafeInteger(value), `${value} from etcd is beyond 2^53`);
    return value;
  }

  bytes(): Buffer {
    const length = this.uint();
    this.#pass(length);
    return this.#buffer.subarray(this.#at - length, this.#at);
  }

  skip(): void {
    if (this.#type === varintType) while (this.#byte() >= 128);
    else if (this.#type === bytesType) this.#pass(this.uint());
    else if (this.#type === fixed64Type) this.#pass(8);
    else if (this.#type === fixed32Type) this.#pass(4);
    else assert(false, `etcd sends no fields of type ${this.#type}`);
  }

  #pass(length: number): void {
    this.#at += length;
    assert(this.#at <= this.#buffer.length, 'an answer of etcd is whole');
  }

  #byte(): number {
    const byte = this.#buffer[this.#at++];
    assert(byte !== undefined, 'an answer of etcd is whole');
    return byte;
  }
}
