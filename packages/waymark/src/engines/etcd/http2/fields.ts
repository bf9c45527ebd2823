import { huffmanDecode } from '../../../core/huffman.js';
import { ProtocolFault } from './frames.js';

/** Field lines (RFC 7541), as far as unary calls of gRPC need them: without a dynamic table, and of answers what tells how they ended. */

/** Numbers of the static table (appendix A). */
const known = { authority: 1, post: 3, path: 4, http: 6, https: 7, contentType: 31 } as const;
const staticMax = 61;
/** 8 to 14 are whole lines of `:status`. */
const statusFirst = 8;
const statuses = ['200', '204', '206', '304', '400', '404', '500'] as const;

export interface CallHead {
  readonly path: string;
  readonly authority: string;
  readonly secure: boolean;
}

/** The head of a request. Encoded once, it is the same for each. */
export function writeCallHead({ path, authority, secure }: CallHead): Buffer {
  return Buffer.concat([
    Buffer.of(0x80 | known.post, 0x80 | (secure ? known.https : known.http)),
    integer(0, 0x0f, known.path),
    text(path),
    integer(0, 0x0f, known.authority),
    text(authority),
    integer(0, 0x0f, known.contentType),
    text('application/grpc'),
    writeField('te', 'trailers'),
  ]);
}

export function writeField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

/** A secret, which no one on its way may keep (section 6.2.3). */
export function writeSecretField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x10), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(0, 0x7f, bytes.length), bytes]);
}

/** Section 5.1. @param mask  of the bits that the first byte leaves for the number */
function integer(first: number, mask: number, value: number): Buffer {
  if (value < mask) return Buffer.of(first | value);
  const bytes = [first | mask];
  let left = value - mask;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}

/** Each line goes to `sink`, but those that stand in the static table as a whole, of which `:status` alone does. @throws {ProtocolFault} */
export function readFields(block: Buffer, sink: (name: string, value: string) => void): void {
  const reader = new BlockReader(block);
  while (!reader.done) reader.line(sink);
}

class BlockReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  line(sink: (name: string, value: string) => void): void {
    const first = this.#bytes[this.#at] as number;
    if (first >= 0x80) {
      const value = statuses[this.#index(0x7f) - statusFirst];
      if (value !== undefined) sink(':status', value);
    } else if (first >= 0x20 && first < 0x40) {
      if (this.#integer(0x1f) !== 0) throw new ProtocolFault('a table that was not allowed');
    } else {
      const name = this.#name(first >= 0x40 ? 0x3f : 0x0f);
      sink(name, this.#string());
    }
  }

  /** Of a literal: of the names in the static table only `:status` says anything here. */
  #name(mask: number): string {
    const index = this.#index(mask);
    if (index === 0) return this.#string();
    return index >= statusFirst && index < statusFirst + statuses.length ? ':status' : '';
  }

  #index(mask: number): number {
    const index = this.#integer(mask);
    if (index > staticMax) throw new ProtocolFault('an entry of a table that there is not');
    return index;
  }

  /** Section 5.1. Four bytes after the first are more than any block here needs. */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new ProtocolFault('a number without end');
  }

  /** Section 5.2. */
  #string(): string {
    const first = this.#bytes[this.#at];
    if (first === undefined) throw new ProtocolFault('the block ends before a string');
    const length = this.#integer(0x7f);
    const from = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new ProtocolFault('the block ends within a string');
    if (first < 0x80) return this.#bytes.toString('latin1', from, this.#at);
    const out = Buffer.allocUnsafe(2 * length);
    const decoded = huffmanDecode(this.#bytes, from, this.#at, out);
    if (decoded < 0) throw new ProtocolFault('no Huffman code');
    return out.toString('latin1', 0, decoded);
  }
}
