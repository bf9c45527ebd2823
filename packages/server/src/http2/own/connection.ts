import type { Duplex } from 'node:stream';
import type { Clock } from 'waymark/engine';
import { Budget } from './budget.js';
import { codes, ConnectionFault, flags, frameTypes, settingIds, streamIdMax } from './codes.js';
import type { FieldsEncoder } from './fields-encoder.js';
import { HeaderBlocks } from './header-blocks.js';
import { Intake, type FrameReader } from './intake.js';
import { Outlet } from './outlet.js';
import { ReceiveFlow, streamWindowBytes } from './receive-flow.js';
import { SendFlow } from './send-flow.js';
import { readSettings } from './settings.js';
import type { OwnStream, StreamHost } from './stream.js';
import { StreamTable, type StreamTableOptions } from './stream-table.js';
import type { Flushed, Turn } from './turn.js';

/** So much that the client does not read: it is not heard either, until it does. */
const deafBytes = 1_048_576;

/** Requests given up by the client before they are answered, at once and a second: a burst of cancels is within it. */
const resetsBurst = 10_000;
const resetsPerSecond = 1_000;
/** Frames that say nothing; every answer earns some more. */
const wasteBurst = 10_000;
const wastePerSecond = 1_000;

/** Of a ping that asks whether the client has heard that it should leave; others have a payload of zeros. */
const leaving = Buffer.from('leaving?', 'latin1');
const alive = Buffer.alloc(8);

export interface ConnectionOptions extends Pick<StreamTableOptions, 'accept' | 'streamsMax'> {
  readonly clock: Clock;
  readonly encoder: FieldsEncoder;
  readonly turn: Turn;
  readonly fieldBytesMax: number;
  readonly refused: (reason: string) => void;
  readonly gone: (connection: Connection) => void;
}

/** One client: what its frames do, and how it ends. */
export class Connection implements StreamHost, FrameReader, Flushed {
  readonly #options: ConnectionOptions;
  readonly socket: Duplex;
  readonly encoder: FieldsEncoder;
  readonly outlet: Outlet;
  readonly sending: SendFlow;
  readonly receiving: ReceiveFlow;
  readonly blocks: HeaderBlocks;
  readonly intake: Intake;
  readonly streams: StreamTable;
  readonly #resets: Budget;
  readonly #waste: Budget;
  #due: OwnStream[] = [];
  #flushing = false;
  /** Read in pieces: 'deaf' while the client does not read what it asked for. */
  state: 'open' | 'deaf' | 'ending' | 'gone' = 'open';
  /** The client's settings have come. */
  greeted = false;
  /** And it has seen this side's. */
  acknowledged = false;
  /** Chunks since the beginning. */
  heard = 0;
  #leaving: 'no' | 'told' | 'last' = 'no';

  constructor(socket: Duplex, options: ConnectionOptions) {
    const { clock, turn, encoder, fieldBytesMax, accept, streamsMax } = options;
    this.#options = options;
    this.socket = socket;
    this.encoder = encoder;
    this.#resets = new Budget(clock, resetsBurst, resetsPerSecond);
    this.#waste = new Budget(clock, wasteBurst, wastePerSecond);
    this.outlet = new Outlet(socket, turn, {
      begun: () => this.#flushSoon(),
      freed: () => this.#freed(),
    });
    this.sending = new SendFlow(this.outlet, this.#waste);
    this.receiving = new ReceiveFlow(this.outlet);
    this.blocks = new HeaderBlocks(fieldBytesMax);
    this.intake = new Intake(this);
    const budgets = { resets: this.#resets, waste: this.#waste };
    this.streams = new StreamTable({ host: this, accept, streamsMax, ...budgets });
  }

  /** Says hello, and listens. */
  start(): void {
    const { socket, outlet } = this;
    if ('setNoDelay' in socket) (socket.setNoDelay as (on: boolean) => void)(true);
    outlet.settings([
      [settingIds.maxConcurrentStreams, this.#options.streamsMax],
      [settingIds.initialWindowSize, streamWindowBytes],
      [settingIds.maxHeaderListSize, this.#options.fieldBytesMax],
    ]);
    this.receiving.begin();
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    // Told by 'close', which follows.
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#gone());
  }

  frame(type: number, flagBits: number, id: number, bytes: Buffer, start: number, end: number) {
    if (!this.greeted && (type !== frameTypes.settings || (flagBits & flags.ack) !== 0))
      throw wrong('no SETTINGS after the preface');
    if (this.blocks.open !== 0 && type !== frameTypes.continuation)
      throw wrong('a frame within a head');
    switch (type) {
      case frameTypes.data:
        this.#dataFrame(flagBits, id, bytes, start, end);
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

  /** Tells the client why, and ends the connection. */
  fail(code: number, reason: string): void {
    if (this.state === 'ending' || this.state === 'gone') return;
    this.#options.refused(code === codes.enhanceYourCalm ? 'flood' : 'protocol');
    this.#end(code, reason);
  }

  /** Ends it without a word. @param reason  for the figures, when the client is the one to blame */
  destroy(reason?: string): void {
    if (reason !== undefined && this.state !== 'gone') this.#options.refused(reason);
    this.socket.destroy();
  }

  /** Asks the client to connect elsewhere, and ends when what is under way is finished. */
  drain(): void {
    if (this.state === 'gone' || this.state === 'ending' || this.#leaving !== 'no') return;
    if (!this.greeted) return this.destroy();
    this.#leaving = 'told';
    this.outlet.goaway(streamIdMax, codes.noError, '');
    // Requests that were on their way by now are served: they come before the answer to this.
    this.outlet.ping(leaving, false);
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.outlet.ping(alive, false);
  }

  answered(stream: OwnStream): void {
    this.streams.answered(stream);
  }

  reset(stream: OwnStream, code: number): void {
    this.streams.reset(stream, code);
  }

  due(stream: OwnStream): void {
    this.#due.push(stream);
    this.#flushSoon();
  }

  flush(): void {
    const due = this.#due;
    // What they do may make more due.
    for (let i = 0; i < due.length; i++) (due[i] as OwnStream).settle();
    due.length = 0;
    this.#flushing = false;
    if (this.state === 'gone') return;
    if (this.#leaving === 'last' && this.streams.size === 0) this.#end(codes.noError, '');
    this.outlet.push();
    if (this.outlet.unsent <= deafBytes || this.state !== 'open') return;
    this.state = 'deaf';
    this.socket.pause();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#options.turn.flush(this);
  }

  #freed(): void {
    if (this.state === 'deaf') {
      this.state = 'open';
      this.socket.resume();
    }
    this.sending.pump();
  }

  #data(chunk: Buffer): void {
    if (this.state === 'ending' || this.state === 'gone') return;
    this.heard++;
    try {
      this.intake.push(chunk);
    } catch (error) {
      if (!(error instanceof ConnectionFault)) throw error;
      this.fail(error.code, error.message);
    }
  }

  #dataFrame(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    const padding = (flagBits & flags.padded) === 0 ? 0 : paddingOf(bytes, start, end);
    const body = bytes.subarray(padding === 0 ? start : start + 1, end - Math.max(0, padding - 1));
    if (id === 0) throw wrong('DATA of the connection');
    this.streams.data(id, body, end - start, (flagBits & flags.endStream) !== 0);
  }

  #headers(flagBits: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0) throw wrong('HEADERS of the connection');
    let start = from;
    let end = to;
    if ((flagBits & flags.padded) !== 0) {
      end -= paddingOf(bytes, start, end) - 1;
      start++;
    }
    if ((flagBits & flags.priority) !== 0) start += 5;
    if (start > end) throw wrong('HEADERS too short');
    const block = this.blocks.headers(id, flagBits, bytes, start, end);
    if (block !== null) this.streams.block(id, this.blocks.endStream, block);
  }

  #windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw wrongSize('WINDOW_UPDATE');
    const increment = bytes.readUInt32BE(start) & 0x7fff_ffff;
    if (id !== 0) return this.streams.windowUpdate(id, increment);
    if (increment === 0) throw wrong('a window opened by nothing');
    if (!this.sending.open(increment))
      throw new ConnectionFault(codes.flowControlError, 'a window too large');
  }

  #other(type: number, flagBits: number, id: number, bytes: Buffer, start: number, end: number) {
    switch (type) {
      case frameTypes.rstStream:
        if (id === 0) throw wrong('RST_STREAM of the connection');
        if (end - start !== 4) throw wrongSize('RST_STREAM');
        return this.streams.cancelled(id);
      case frameTypes.continuation: {
        const block = this.blocks.continuation(id, flagBits, bytes, start, end);
        if (block !== null) this.streams.block(id, this.blocks.endStream, block);
        return;
      }
      case frameTypes.settings:
        return this.#settings(flagBits, id, bytes, start, end);
      case frameTypes.ping:
        return this.#ping(flagBits, id, bytes, start, end);
      case frameTypes.goaway:
        if (id !== 0) throw wrong('GOAWAY of a stream');
        if (end - start < 8) throw wrongSize('GOAWAY');
        return this.#clientLeaves();
      case frameTypes.pushPromise:
        throw wrong('a push by a client');
      case frameTypes.priority:
        if (id === 0) throw wrong('PRIORITY of the connection');
        if (end - start !== 5) this.streams.fault(id, codes.frameSizeError);
        return this.#waste.spend();
      default:
        // Section 5.5: what this side does not know means nothing.
        return this.#waste.spend();
    }
  }

  #settings(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw wrong('SETTINGS of a stream');
    if ((flagBits & flags.ack) !== 0) {
      if (end !== start) throw wrongSize('SETTINGS');
      this.acknowledged = true;
      return this.#waste.spend();
    }
    if ((end - start) % 6 !== 0) throw wrongSize('SETTINGS');
    this.#waste.spend();
    const { initialWindow } = readSettings(bytes, start, end);
    this.greeted = true;
    this.outlet.settingsAck();
    if (initialWindow !== undefined && !this.sending.resize(this.streams.all(), initialWindow))
      throw new ConnectionFault(codes.flowControlError, 'a window too large');
  }

  #ping(flagBits: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw wrong('PING of a stream');
    if (end - start !== 8) throw wrongSize('PING');
    this.#waste.spend();
    if ((flagBits & flags.ack) === 0) this.outlet.ping(bytes.subarray(start, end), true);
    else if (this.#leaving === 'told' && leaving.compare(bytes, start, end) === 0)
      this.#leaveLast();
  }

  #leaveLast(): void {
    this.#leaving = 'last';
    this.streams.closed = true;
    this.outlet.goaway(this.streams.lastId, codes.noError, '');
  }

  /** It opens no more streams; those that are open are finished. */
  #clientLeaves(): void {
    this.#leaving = 'last';
    this.#flushSoon();
  }

  #end(code: number, reason: string): void {
    this.state = 'ending';
    this.intake.forget();
    this.#closeStreams();
    if (code !== codes.noError || this.#leaving !== 'last')
      this.outlet.goaway(this.streams.lastId, code, reason);
    this.outlet.push();
    this.socket.end();
    // What still comes is thrown away: closing with bytes unread would take the last words from the client.
    this.socket.resume();
  }

  #gone(): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    this.intake.forget();
    this.#closeStreams();
    this.#options.gone(this);
  }

  #closeStreams(): void {
    for (const stream of this.streams.all()) stream.close();
    this.streams.clear();
  }
}

/** @returns the padding's length and its own byte */
function paddingOf(bytes: Buffer, start: number, end: number): number {
  if (start === end) throw wrongSize('a padded frame');
  const padding = (bytes[start] as number) + 1;
  if (padding > end - start) throw wrong('more padding than frame');
  return padding;
}

function wrong(message: string): ConnectionFault {
  return new ConnectionFault(codes.protocolError, message);
}

function wrongSize(name: string): ConnectionFault {
  return new ConnectionFault(codes.frameSizeError, `${name} of a wrong length`);
}
