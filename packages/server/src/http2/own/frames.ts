import type { Budget } from './budget.js';
import { codes, ConnectionFault, flags, frameTypes } from './codes.js';
import type { HeaderBlocks } from './header-blocks.js';
import type { FrameReader } from './intake.js';
import type { Outlet } from './outlet.js';
import type { SendFlow } from './send-flow.js';
import { readSettings } from './settings.js';
import type { StreamTable } from './stream-table.js';

export interface FramesOptions {
  readonly streams: StreamTable;
  readonly blocks: HeaderBlocks;
  readonly sending: SendFlow;
  readonly outlet: Outlet;
  /** Spent by requests that are given up before they are answered. */
  readonly resets: Budget;
  /** Spent by frames that say nothing. */
  readonly waste: Budget;
  /** Told of an answer to a ping; the payload is `bytes` from `start`. */
  readonly pong: (bytes: Buffer, start: number) => void;
  /** Told that the client opens no more streams. */
  readonly leaves: () => void;
}

/** What each frame of a client must be like (RFC 9113 section 6), and who acts upon it. */
export class Frames implements FrameReader {
  readonly #options: FramesOptions;
  readonly #streams: StreamTable;
  readonly #blocks: HeaderBlocks;
  readonly #resets: Budget;
  readonly #waste: Budget;
  /** The client's settings have come. */
  greeted = false;
  /** And it has seen this side's. */
  acknowledged = false;

  constructor(options: FramesOptions) {
    this.#options = options;
    this.#streams = options.streams;
    this.#blocks = options.blocks;
    this.#resets = options.resets;
    this.#waste = options.waste;
  }

  frame(type: number, flagBits: number, id: number, bytes: Buffer, start: number, end: number) {
    if (!this.greeted && (type !== frameTypes.settings || (flagBits & flags.ack) !== 0))
      throw wrong('no SETTINGS after the preface');
    if (this.#blocks.open !== 0 && type !== frameTypes.continuation)
      throw wrong('a frame within a head');
    switch (type) {
      case frameTypes.data:
        this.#data(flagBits, id, bytes, start, end);
        break;
      case frameTypes.headers:
        this.#headers(flagBits, id, bytes, start, end);
        break;
      case frameTypes.windowUpdate:
        this.#windowUpdate(id, bytes, start, end);
        break;
      default:
        this.#other(type, flagBits, id, bytes, start, end);
    }
    if (this.#waste.exhausted || this.#resets.exhausted)
      throw new ConnectionFault(codes.enhanceYourCalm, 'flood');
  }

  #data(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw wrong('DATA of the connection');
    let [from, to] = [start, end];
    if ((flagBits & flags.padded) !== 0) {
      to -= paddingOf(bytes, start, end);
      from++;
    }
    const last = (flagBits & flags.endStream) !== 0;
    this.#streams.data(id, bytes.subarray(from, to), end - start, last);
  }

  #headers(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw wrong('HEADERS of the connection');
    let from = start;
    let to = end;
    if ((flagBits & flags.padded) !== 0) {
      to -= paddingOf(bytes, start, end);
      from++;
    }
    if ((flagBits & flags.priority) !== 0) from += 5;
    if (from > to) throw wrong('HEADERS too short');
    const block = this.#blocks.headers(id, flagBits, bytes, from, to);
    if (block !== null) this.#streams.block(id, this.#blocks.endStream, block);
  }

  #windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw wrongSize('WINDOW_UPDATE');
    const increment = bytes.readUInt32BE(start) & 0x7fff_ffff;
    if (id !== 0) return this.#streams.windowUpdate(id, increment);
    if (increment === 0) throw wrong('a window opened by nothing');
    if (!this.#options.sending.open(increment)) throw tooLarge();
  }

  #other(type: number, flagBits: number, id: number, bytes: Buffer, start: number, end: number) {
    switch (type) {
      case frameTypes.rstStream:
        if (id === 0) throw wrong('RST_STREAM of the connection');
        if (end - start !== 4) throw wrongSize('RST_STREAM');
        return this.#streams.cancelled(id);
      case frameTypes.continuation: {
        const block = this.#blocks.continuation(id, flagBits, bytes, start, end);
        if (block !== null) this.#streams.block(id, this.#blocks.endStream, block);
        return;
      }
      case frameTypes.settings:
        return this.#settings(flagBits, id, bytes, start, end);
      case frameTypes.ping:
        return this.#ping(flagBits, id, bytes, start, end);
      case frameTypes.goaway:
        if (id !== 0) throw wrong('GOAWAY of a stream');
        if (end - start < 8) throw wrongSize('GOAWAY');
        return this.#options.leaves();
      case frameTypes.pushPromise:
        throw wrong('a push by a client');
      case frameTypes.priority:
        if (id === 0) throw wrong('PRIORITY of the connection');
        if (end - start !== 5) this.#streams.fault(id, codes.frameSizeError);
        return this.#waste.spend();
      default:
        // Section 5.5: what this side does not know means nothing.
        return this.#waste.spend();
    }
  }

  #settings(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw wrong('SETTINGS of a stream');
    this.#waste.spend();
    if ((flagBits & flags.ack) !== 0) {
      if (end !== start) throw wrongSize('SETTINGS');
      this.acknowledged = true;
      return;
    }
    if ((end - start) % 6 !== 0) throw wrongSize('SETTINGS');
    this.greeted = true;
    const { initialWindow } = readSettings(bytes, start, end);
    const { outlet, sending } = this.#options;
    outlet.settingsAck();
    if (initialWindow !== undefined && !sending.resize(this.#streams.all(), initialWindow))
      throw tooLarge();
  }

  #ping(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw wrong('PING of a stream');
    if (end - start !== 8) throw wrongSize('PING');
    this.#waste.spend();
    if ((flagBits & flags.ack) !== 0) this.#options.pong(bytes, start);
    else this.#options.outlet.ping(bytes.subarray(start, end), true);
  }
}

/** @returns the length of the padding, without its own byte at the beginning */
function paddingOf(bytes: Buffer, start: number, end: number): number {
  if (start === end) throw wrongSize('a padded frame');
  const padding = bytes[start] as number;
  if (padding >= end - start) throw wrong('more padding than frame');
  return padding;
}

function wrong(message: string): ConnectionFault {
  return new ConnectionFault(codes.protocolError, message);
}

function wrongSize(name: string): ConnectionFault {
  return new ConnectionFault(codes.frameSizeError, `${name} of a wrong length`);
}

function tooLarge(): ConnectionFault {
  return new ConnectionFault(codes.flowControlError, 'a window too large');
}
