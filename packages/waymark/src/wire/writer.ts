import type { ByteString, LeaseId } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { isPlainLeaseId, leaseIdBytes } from '../core/lease-id.js';
import { frameHeaderBytes, frameTargetBytes, messageBytesMax, partBytesMax } from './frames.js';
import { latin1Write } from '../core/latin1.js';
import { messages } from './messages.js';

/** Below this many chars a loop beats the call into native code. */
const loopCharsMax = 20;
/** The same of bytes. */
const loopBytesMax = 32;
const slabBytesMin = 4_096;
const slabBytesMax = 131_072;

/**
 * Gathers messages into frames in one growing slab. `take` hands out what was written since the last take, without a
 * copy, and goes on behind it in the same slab: bytes handed out are never written again, so a socket may keep them
 * as long as it likes.
 */
export class Writer {
  buffer: Buffer;
  position = 0;
  /** Start of what was not taken yet. */
  #base = 0;
  /** Where the open message began. */
  #message = 0;
  /** Where the open frame's header lies, −1 when none is open. */
  #frame = -1;
  #slabBytes = slabBytesMin;
  #lastName: string | null = null;
  #lastNameBytes = new Uint8Array();

  constructor() {
    this.buffer = Buffer.allocUnsafeSlow(0);
  }

  /** Bytes that `take` would give. */
  get pending(): number {
    return this.position - this.#base;
  }

  /**
   * Starts a message. What is written to it throws `too_large` once it is longer than one may be: it is to be rolled back then.
   *
   * @returns the mark that `end` and `rollback` take
   */
  begin(): number {
    if (this.#frame < 0) {
      this.ensure(frameHeaderBytes);
      this.#frame = this.position - this.#base;
      this.position += frameHeaderBytes;
    }
    this.#message = this.position - this.#base;
    return this.#message;
  }

  end(): void {
    if (this.position - this.#base - this.#frame >= frameTargetBytes) this.#closeFrame();
  }

  /** Ends an answer with this id; one too long for a frame goes as parts. @throws {WaymarkError} `too_large`, and it is to be rolled back */
  endAnswer(mark: number, id: number): void {
    const start = this.#base + mark;
    const bytes = this.position - start;
    if (bytes <= partBytesMax) return this.end();
    if (bytes > messageBytesMax) throw tooLong();
    const whole = Buffer.from(this.buffer.subarray(start, this.position));
    this.rollback(mark);
    // The parts go elsewhere: pieces of the message may be pointed at, to be written again for others.
    this.#message = mark;
    this.#grow(partBytesMax);
    for (let at = 0; at < whole.length; at += partBytesMax) {
      const part = whole.subarray(at, at + partBytesMax);
      this.begin();
      this.byte(messages.part);
      this.uint(id);
      this.byte(at + partBytesMax >= whole.length ? 1 : 0);
      this.blob(part);
      this.#closeFrame();
    }
  }

  /** Forgets the message begun at `mark`. */
  rollback(mark: number): void {
    this.position = this.#base + mark;
    if (this.#frame >= 0 && mark === this.#frame + frameHeaderBytes) {
      this.position -= frameHeaderBytes;
      this.#frame = -1;
    }
  }

  take(): Buffer | null {
    if (this.#frame >= 0) this.#closeFrame();
    if (this.position === this.#base) return null;
    const taken = this.buffer.subarray(this.#base, this.position);
    this.#base = this.position;
    return taken;
  }

  /** Makes room for `bytes` more. */
  ensure(bytes: number): void {
    if (this.position + bytes > this.buffer.length) this.#grow(bytes);
  }

  byte(value: number): void {
    if (this.position >= this.buffer.length) this.#grow(1);
    this.buffer[this.position++] = value;
  }

  bool(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  /** A whole number from 0 to 2^53-1: seven bits a byte, the lowest first. */
  uint(value: number): void {
    if (this.position + 8 > this.buffer.length) this.#grow(8);
    const { buffer } = this;
    let at = this.position;
    let rest = value;
    if (value >>> 0 !== value) {
      if (!Number.isSafeInteger(value) || value < 0) throw notWhole(value);
      while (rest > 0xffff_ffff) {
        buffer[at++] = (rest % 128) | 0x80;
        rest = Math.floor(rest / 128);
      }
    }
    while (rest > 0x7f) {
      buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    this.position = at;
  }

  /** The id of a lease, or 0: as protobuf writes an int64. */
  leaseId(id: LeaseId): void {
    if (isPlainLeaseId(id)) return this.uint(id);
    for (const byte of leaseIdBytes(id)) this.byte(byte);
  }

  double(value: number): void {
    this.ensure(8);
    this.position = this.buffer.writeDoubleBE(value, this.position);
  }

  /** Bytes with their length. The string holds one byte a char: whoever calls has checked that. */
  bytes(value: ByteString): void {
    const { length } = value;
    if (this.position + length + 8 > this.buffer.length) this.#grow(length + 8);
    this.uint(length);
    const { buffer } = this;
    let at = this.position;
    if (length > loopCharsMax) {
      latin1Write(buffer, value, at, length);
      this.position = at + length;
      return;
    }
    for (let i = 0; i < length; i++) buffer[at++] = value.charCodeAt(i);
    this.position = at;
  }

  /** Text as UTF-8 with its length; a lone surrogate becomes U+FFFD. */
  text(value: string): void {
    if (typeof value !== 'string') throw new WaymarkError('invalid', `text, not ${typeof value}`);
    this.bytes(textToBytes(value));
  }

  /** A text that is mostly the same as the one before: copied, not encoded. See `Reader.name`. */
  name(value: string): void {
    if (value !== this.#lastName) {
      const before = this.pending;
      this.text(value);
      const length = this.pending - before;
      this.#lastNameBytes = Uint8Array.from(
        this.buffer.subarray(this.position - length, this.position),
      );
      this.#lastName = value;
      return;
    }
    const bytes = this.#lastNameBytes;
    this.ensure(bytes.length);
    const { buffer } = this;
    let at = this.position;
    for (let i = 0; i < bytes.length; i++) buffer[at++] = bytes[i] as number;
    this.position = at;
  }

  json(value: unknown): void {
    this.text(JSON.stringify(value) ?? 'null');
  }

  blob(value: Uint8Array): void {
    this.ensure(value.length + 8);
    this.uint(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }

  /** Bytes that are encoded already, as they are. */
  raw(source: Buffer, start: number, end: number): void {
    const length = end - start;
    this.ensure(length);
    if (length > loopBytesMax) {
      source.copy(this.buffer, this.position, start, end);
      this.position += length;
      return;
    }
    const { buffer } = this;
    let at = this.position;
    for (let from = start; from < end; from++) buffer[at++] = source[from] as number;
    this.position = at;
  }

  #closeFrame(): void {
    const start = this.#base + this.#frame;
    this.buffer.writeUInt32BE(this.position - start - frameHeaderBytes, start);
    this.#frame = -1;
  }

  #grow(bytes: number): void {
    const used = this.position - this.#base;
    if (used + bytes - this.#message > messageBytesMax) throw tooLong();
    const wanted = used + bytes + 64;
    // A slab serves some eight bursts; a connection of few words keeps a small one.
    if (wanted * 8 > this.#slabBytes) this.#slabBytes = Math.min(slabBytesMax, this.#slabBytes * 2);
    const slab = Buffer.allocUnsafeSlow(
      Math.max(this.#slabBytes, wanted > slabBytesMax ? wanted * 2 : wanted),
    );
    this.buffer.copy(slab, 0, this.#base, this.position);
    this.buffer = slab;
    this.#base = 0;
    this.position = used;
  }
}

function tooLong(): WaymarkError {
  const text = `the answer takes more than ${messageBytesMax} bytes: ask for less of it, by a limit or a narrower range`;
  return new WaymarkError('too_large', text, { limit: 'answerBytesMax', max: messageBytesMax });
}

function notWhole(value: unknown): WaymarkError {
  const shown = typeof value === 'string' ? bytesToText(value) : String(value);
  return new WaymarkError('invalid', `a whole number from 0 to 2^53-1 is needed, not ${shown}`);
}
