import { WaymarkError } from '../core/errors.js';

/**
 * A connection begins with four bytes that no HTTP request, HTTP/2 preface and TLS hello begins with. Then frames:
 * the payload's length in four bytes, big endian, and messages one after the other until it ends.
 * docs/reference/wire-protocol.md has the whole of it.
 */
export const preface = Buffer.from([0xab, 0x57, 0x4d, 0x4b]);

export const protocolVersion = { min: 1, max: 1 } as const;

export const frameHeaderBytes = 4;
/** The longest frame that is accepted: a request at its limits, with room. */
export const frameBytesMax = 4_194_304;
/** A frame is closed when it has grown past this. */
export const frameTargetBytes = 65_536;
export const partBytesMax = 1_048_576;
/** The longest message put together from parts. */
export const messageBytesMax = 268_435_456;

export type FirstBytes = 'waymark' | 'http2' | 'tls' | 'http1' | 'more';

/** What a new connection speaks, by its first bytes; `more` when there are too few to tell. */
export function firstBytes(bytes: Uint8Array): FirstBytes {
  if (bytes.length === 0) return 'more';
  if (bytes[0] === 0x16) return 'tls';
  if (startsWith(bytes, preface)) return bytes.length >= preface.length ? 'waymark' : 'more';
  if (startsWith(bytes, http2Preface))
    return bytes.length >= http2Preface.length ? 'http2' : 'more';
  return 'http1';
}

const http2Preface = Buffer.from('PRI * HTTP/2.0', 'latin1');

function startsWith(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const length = Math.min(bytes.length, wanted.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== wanted[i]) return false;
  return true;
}

/**
 * Cuts a stream of chunks into frames. A frame that lies within one chunk is not copied; the beginning of one that does
 * not is, so a chunk's bytes may be used again once `push` has returned.
 */
export class FrameSplitter {
  readonly #visit: (chunk: Buffer, start: number, end: number) => void;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How many bytes must be there before the next frame is whole. */
  #needed = frameHeaderBytes;

  constructor(visit: (chunk: Buffer, start: number, end: number) => void) {
    this.#visit = visit;
  }

  /** @throws {WaymarkError} `too_large` for a frame beyond the limit, before anything is allocated for it */
  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#heldBytes > 0) {
      this.#held.push(Buffer.from(chunk));
      this.#heldBytes += chunk.length;
      if (this.#heldBytes < this.#needed) return;
      bytes = Buffer.concat(this.#held, this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
    }
    this.#cut(bytes);
  }

  #cut(bytes: Buffer): void {
    let position = 0;
    this.#needed = frameHeaderBytes;
    while (bytes.length - position >= frameHeaderBytes) {
      const length = bytes.readUInt32BE(position);
      if (length > frameBytesMax) throw tooLarge(length);
      const end = position + frameHeaderBytes + length;
      if (end > bytes.length) {
        this.#needed = frameHeaderBytes + length;
        break;
      }
      this.#visit(bytes, position + frameHeaderBytes, end);
      position = end;
    }
    if (position === bytes.length) return;
    this.#held.push(Buffer.from(bytes.subarray(position)));
    this.#heldBytes = bytes.length - position;
  }
}

function tooLarge(actual: number): WaymarkError {
  return new WaymarkError('too_large', `a frame of ${actual} bytes: at most ${frameBytesMax}`, {
    limit: 'frameBytesMax',
    max: frameBytesMax,
    actual,
  });
}
