import { codes, ConnectionFault, flags } from './codes.js';
import type { FieldBlock } from './field-block.js';
import { HpackDecoder } from './hpack-decoder.js';

/** A block comes in one frame, or few; more than so many are meant to keep this side busy. */
const continuationsMax = 64;

/** Brings the HEADERS and CONTINUATION frames of one connection together to blocks, and reads them. */
export class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  readonly #blockBytesMax: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** The stream whose block is not whole; 0 when none is open. */
  open = 0;
  #endStream = false;
  /** Whole blocks since the beginning. */
  count = 0;
  /** Of the block just read. */
  id = 0;
  endStream = false;

  constructor(fieldBytesMax: number) {
    this.#decoder = new HpackDecoder(fieldBytesMax);
    // Encoded, a block is hardly longer than what it says; some room tells one that is too large from one that is meant to harm.
    this.#blockBytesMax = 2 * fieldBytesMax;
  }

  /**
   * @param start  of the block in the frame, after what else HEADERS holds
   * @returns the block, when it is whole
   * @throws {ConnectionFault}
   */
  headers(id: number, flagBits: number, frame: Buffer, start: number, end: number) {
    this.#endStream = (flagBits & flags.endStream) !== 0;
    if ((flagBits & flags.endHeaders) !== 0) return this.#whole(id, frame, start, end);
    this.open = id;
    this.#keep(frame, start, end);
    return null;
  }

  /** The same, for a CONTINUATION. */
  continuation(id: number, flagBits: number, frame: Buffer, start: number, end: number) {
    if (this.open === 0 || this.open !== id)
      throw new ConnectionFault(codes.protocolError, 'a CONTINUATION of nothing');
    this.#keep(frame, start, end);
    if ((flagBits & flags.endHeaders) === 0) return null;
    const block = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    this.open = 0;
    return this.#whole(id, block, 0, block.length);
  }

  #whole(id: number, bytes: Buffer, start: number, end: number): FieldBlock {
    this.count++;
    this.id = id;
    this.endStream = this.#endStream;
    return this.#decoder.decode(bytes, start, end);
  }

  #keep(frame: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#blockBytesMax || this.#pieces.length >= continuationsMax)
      throw new ConnectionFault(codes.enhanceYourCalm, 'a head without end');
    // A copy: the frame is a part of a larger piece of memory that would be kept for it.
    this.#pieces.push(Buffer.from(frame.subarray(start, end)));
  }
}
