import {
  codes,
  ConnectionFault,
  frameBytesMax,
  frameHeadBytes,
  frameTypes,
  preface,
} from './codes.js';

/** Told of each frame; the payload is `bytes` from `start` to `end`. */
export interface FrameReader {
  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void;
}

/** Cuts what comes from a client into frames. */
export class Intake {
  readonly #reader: FrameReader;
  /** The beginning of what is not whole yet. */
  #rest: Buffer | null = null;
  /** The preface has come. */
  begun = false;

  constructor(reader: FrameReader) {
    this.#reader = reader;
  }

  /** Whether a part of a head, or of what may be one, has come and the rest has not. */
  get amidHead(): boolean {
    if (this.#rest === null) return false;
    const type = this.#rest[3];
    return type === undefined || type === frameTypes.headers || type === frameTypes.continuation;
  }

  /** @throws {ConnectionFault} */
  push(chunk: Buffer): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    let at = 0;
    if (!this.begun) {
      if (!isPreface(bytes)) throw new ConnectionFault(codes.protocolError, 'no preface');
      if (bytes.length >= preface.length) {
        this.begun = true;
        at = preface.length;
      }
    }
    if (this.begun) at = this.#frames(bytes, at);
    // A copy: the rest is short, and what it is a part of is not.
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** What comes from now on is of no interest. */
  forget(): void {
    this.#rest = null;
  }

  /** @returns where the frame begins that is not whole */
  #frames(bytes: Buffer, from: number): number {
    let at = from;
    while (bytes.length - at >= frameHeadBytes) {
      const length =
        ((bytes[at] as number) << 16) |
        ((bytes[at + 1] as number) << 8) |
        (bytes[at + 2] as number);
      if (length > frameBytesMax) throw new ConnectionFault(codes.frameSizeError, 'a long frame');
      const start = at + frameHeadBytes;
      if (bytes.length - start < length) break;
      const id =
        (((bytes[at + 5] as number) & 0x7f) << 24) |
        ((bytes[at + 6] as number) << 16) |
        ((bytes[at + 7] as number) << 8) |
        (bytes[at + 8] as number);
      const flags = bytes[at + 4] as number;
      this.#reader.frame(bytes[at + 3] as number, flags, id, bytes, start, start + length);
      at = start + length;
    }
    return at;
  }
}

/** Of what has come of it. */
function isPreface(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, preface.length);
  return bytes.compare(preface, 0, length, 0, length) === 0;
}
