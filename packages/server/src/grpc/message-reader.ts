import { grpcCode, GrpcError } from './status.js';

const headBytes = 5;

/** Takes length-prefixed messages out of the pieces a body comes in. */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #message: (bytes: Buffer) => void;
  #pieces: Buffer[] = [];
  #have = 0;
  /** Nothing is whole before there are so many bytes. */
  #need = headBytes;

  /** @param message  told of each message. Its memory is a part of the piece it came in */
  constructor(bytesMax: number, message: (bytes: Buffer) => void) {
    this.#bytesMax = bytesMax;
    this.#message = message;
  }

  /** Whether a message has begun and is not whole. */
  get broken(): boolean {
    return this.#have > 0;
  }

  /** @throws {GrpcError} for a message that is too long, or compressed */
  push(piece: Buffer): void {
    this.#have += piece.length;
    if (this.#have < this.#need) return void this.#pieces.push(piece);
    const bytes = this.#pieces.length === 0 ? piece : Buffer.concat([...this.#pieces, piece]);
    const at = this.#readAll(bytes);
    this.#have = bytes.length - at;
    this.#pieces = this.#have === 0 ? [] : [bytes.subarray(at)];
  }

  /** @returns where the message begins that is not whole */
  #readAll(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      this.#need = headBytes;
      if (bytes.length - at < headBytes) return at;
      this.#need = headBytes + this.#lengthAt(bytes, at);
      if (bytes.length - at < this.#need) return at;
      this.#message(bytes.subarray(at + headBytes, at + this.#need));
      at += this.#need;
    }
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at + 1);
    if (bytes[at] !== 0) {
      const text = 'grpc: Decompressor is not installed: this server takes messages as they are';
      throw new GrpcError(grpcCode.unimplemented, text);
    }
    if (length > this.#bytesMax) {
      const text = `grpc: received message larger than max (${length} vs. ${this.#bytesMax})`;
      throw new GrpcError(grpcCode.resourceExhausted, text);
    }
    return length;
  }
}

/** The message with its head. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headBytes);
  return frame;
}
