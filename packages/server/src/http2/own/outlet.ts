import type { Duplex } from 'node:stream';
import { flags, frameBytesMax, frameHeadBytes, frameTypes } from './codes.js';
import { noDynamicTable } from './fields-encoder.js';
import type { Turn } from './turn.js';

/** So much that the socket has not taken: bodies wait. */
export const congestedBytes = 262_144;
/** So little left: they go on. */
const freeBytes = 65_536;

interface Piece {
  readonly slab: Buffer;
  readonly bytes: number;
}

export interface OutletEvents {
  /** There is something to `push` at the end of the turn. */
  begun(): void;
  /** No longer congested. */
  freed(): void;
}

/**
 * Writes frames into slabs of memory that leave together at the end of the turn: one write to the socket, however many streams have
 * answered. Knows nothing of streams and windows.
 */
export class Outlet {
  readonly #socket: Duplex;
  readonly #turn: Turn;
  readonly #events: OutletEvents;
  #slab: Buffer | null = null;
  #at = 0;
  readonly #full: Piece[] = [];
  readonly #leaving: Piece[] = [];
  #waiting = 0;
  #leavingBytes = 0;
  #greeted = false;
  /** Bytes that the socket has passed on since the beginning. */
  sent = 0;
  /** Bodies should wait. */
  congested = false;

  constructor(socket: Duplex, turn: Turn, events: OutletEvents) {
    this.#socket = socket;
    this.#turn = turn;
    this.#events = events;
  }

  /** Bytes that the socket has not passed on. */
  get unsent(): number {
    return this.#waiting + this.#leavingBytes;
  }

  /** @param block  of field lines; goes on in CONTINUATION frames when it is longer than a frame */
  headers(id: number, block: Uint8Array, endStream: boolean): void {
    if (!this.#greeted) {
      this.#greeted = true;
      return this.headers(id, Buffer.concat([noDynamicTable, block]), endStream);
    }
    const end = endStream ? flags.endStream : 0;
    const length = block.length;
    if (length <= frameBytesMax) {
      this.#head(frameTypes.headers, flags.endHeaders | end, id, length);
      this.#copy(block, 0, length);
      return;
    }
    for (let at = 0; at < length; at += frameBytesMax) {
      const to = Math.min(at + frameBytesMax, length);
      const last = to === length ? flags.endHeaders : 0;
      if (at === 0) this.#head(frameTypes.headers, end, id, to);
      else this.#head(frameTypes.continuation, last, id, to - at);
      this.#copy(block, at, to);
    }
  }

  data(id: number, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.#head(frameTypes.data, endStream ? flags.endStream : 0, id, end - start);
    this.#copy(bytes, start, end);
    if (this.#waiting > congestedBytes) this.push();
  }

  endStream(id: number): void {
    this.#head(frameTypes.data, flags.endStream, id, 0);
  }

  reset(id: number, code: number): void {
    this.#head(frameTypes.rstStream, 0, id, 4);
    this.#word(code);
  }

  windowUpdate(id: number, bytes: number): void {
    this.#head(frameTypes.windowUpdate, 0, id, 4);
    this.#word(bytes);
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    this.#head(frameTypes.settings, 0, 0, 6 * values.length);
    for (const [id, value] of values) {
      const slab = this.#slab as Buffer;
      slab[this.#at++] = id >>> 8;
      slab[this.#at++] = id;
      this.#word(value);
    }
  }

  settingsAck(): void {
    this.#head(frameTypes.settings, flags.ack, 0, 0);
  }

  /** @param payload  8 bytes */
  ping(payload: Uint8Array, ack: boolean): void {
    this.#head(frameTypes.ping, ack ? flags.ack : 0, 0, 8);
    this.#copy(payload, 0, 8);
  }

  goaway(lastId: number, code: number, reason: string): void {
    const text = Buffer.from(reason, 'latin1');
    this.#head(frameTypes.goaway, 0, 0, 8 + text.length);
    this.#word(lastId);
    this.#word(code);
    this.#copy(text, 0, text.length);
  }

  /**
   * Gives the socket all that was written, once it has passed on what it was given before: a client that reads slowly costs the bytes
   * that wait for it, and not a slab for each turn in which some came.
   */
  push(): void {
    if (this.unsent > congestedBytes) this.congested = true;
    if (this.#leaving.length === 0) this.#give();
  }

  /** Gives the socket the rest, and ends it. */
  finish(): void {
    this.#give();
    this.#socket.end();
  }

  #give(): void {
    if (this.#waiting === 0) return;
    const socket = this.#socket;
    if (socket.destroyed || !socket.writable) return this.#drop();
    this.#leavingBytes += this.#waiting;
    this.#waiting = 0;
    if (this.#full.length === 0) this.#leave({ slab: this.#slab as Buffer, bytes: this.#at });
    else this.#leaveTogether();
    this.#slab = null;
  }

  #leaveTogether(): void {
    this.#socket.cork();
    for (const piece of this.#full) this.#leave(piece);
    this.#full.length = 0;
    this.#leave({ slab: this.#slab as Buffer, bytes: this.#at });
    this.#socket.uncork();
  }

  #leave(piece: Piece): void {
    this.#leaving.push(piece);
    this.#socket.write(piece.slab.subarray(0, piece.bytes), this.#left);
  }

  /** Writes are done in their order. What a socket that failed still refers to is not written to again. */
  readonly #left = (error?: Error | null): void => {
    const piece = this.#leaving.shift();
    if (piece === undefined) return;
    if (!error) this.#turn.giveSlab(piece.slab);
    this.#leavingBytes -= piece.bytes;
    this.sent += piece.bytes;
    this.push();
    if (!this.congested || this.unsent > freeBytes) return;
    this.congested = false;
    this.#events.freed();
  };

  #drop(): void {
    this.#waiting = 0;
    this.#full.length = 0;
    this.#slab = null;
  }

  #head(type: number, flagBits: number, id: number, length: number): void {
    const total = length + frameHeadBytes;
    if (this.#waiting === 0) this.#events.begun();
    if (this.#slab === null || this.#at + total > this.#slab.length) this.#next();
    const slab = this.#slab as Buffer;
    let at = this.#at;
    slab[at++] = length >>> 16;
    slab[at++] = length >>> 8;
    slab[at++] = length;
    slab[at++] = type;
    slab[at++] = flagBits;
    slab[at++] = id >>> 24;
    slab[at++] = id >>> 16;
    slab[at++] = id >>> 8;
    slab[at++] = id;
    this.#at = at;
    this.#waiting += total;
  }

  #next(): void {
    if (this.#slab !== null) this.#full.push({ slab: this.#slab, bytes: this.#at });
    this.#slab = this.#turn.takeSlab();
    this.#at = 0;
  }

  #word(value: number): void {
    const slab = this.#slab as Buffer;
    slab[this.#at++] = value >>> 24;
    slab[this.#at++] = value >>> 16;
    slab[this.#at++] = value >>> 8;
    slab[this.#at++] = value;
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const whole = end - start === bytes.length;
    (this.#slab as Buffer).set(whole ? bytes : bytes.subarray(start, end), this.#at);
    this.#at += end - start;
  }
}
