import type { Duplex } from 'node:stream';
import type { Clock } from 'waymark/engine';
import { Budget } from './budget.js';
import { codes, ConnectionFault, settingIds, streamIdMax } from './codes.js';
import type { FieldsEncoder } from './fields-encoder.js';
import { Frames } from './frames.js';
import { HeaderBlocks } from './header-blocks.js';
import { Intake } from './intake.js';
import { congestedBytes, Outlet } from './outlet.js';
import { ReceiveFlow, streamWindowBytes } from './receive-flow.js';
import { SendFlow } from './send-flow.js';
import type { OwnStream, StreamHost } from './stream.js';
import { StreamTable, type StreamTableOptions } from './stream-table.js';
import type { Flushed, Turn } from './turn.js';

/** So much that the client does not read: it is not heard either, until it does. */
const deafBytes = 1_048_576;

/** Requests given up before they are answered, at once and a second from then on: a client that cancels all it has is within it. */
const resetsBurst = 10_000;
const resetsPerSecond = 1_000;
/** Frames that say nothing; every answer earns some more. */
const wasteBurst = 10_000;
const wastePerSecond = 1_000;

/** Of the ping that asks whether the client has heard that it should leave; others carry zeros. */
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

/** One client, from its first byte to its end. */
export class Connection implements StreamHost, Flushed {
  readonly #options: ConnectionOptions;
  readonly socket: Duplex;
  readonly encoder: FieldsEncoder;
  readonly outlet: Outlet;
  readonly sending: SendFlow;
  readonly receiving: ReceiveFlow;
  readonly blocks: HeaderBlocks;
  readonly frames: Frames;
  readonly intake: Intake;
  readonly #streams: StreamTable;
  readonly #due: OwnStream[] = [];
  #flushing = false;
  /** 'deaf' while the client does not read what it asked for; 'ending' once it was told why. */
  state: 'open' | 'deaf' | 'ending' | 'gone' = 'open';
  /** Chunks that have come. */
  heard = 0;
  /** Of the two steps in which a client is asked to leave. */
  #leaving: 'no' | 'asked' | 'agreed' = 'no';

  constructor(socket: Duplex, options: ConnectionOptions) {
    const { clock, turn, encoder, fieldBytesMax, accept, streamsMax } = options;
    this.#options = options;
    this.socket = socket;
    this.encoder = encoder;
    const resets = new Budget(clock, resetsBurst, resetsPerSecond);
    const waste = new Budget(clock, wasteBurst, wastePerSecond);
    const outlet = new Outlet(socket, turn, {
      begun: () => this.#flushSoon(),
      freed: () => this.#freed(),
    });
    this.outlet = outlet;
    const sending = new SendFlow(outlet, waste);
    this.sending = sending;
    this.receiving = new ReceiveFlow(outlet);
    const blocks = new HeaderBlocks(fieldBytesMax);
    this.blocks = blocks;
    const streams = new StreamTable({ host: this, accept, streamsMax, resets, waste });
    this.#streams = streams;
    this.frames = new Frames({
      ...{ streams, blocks, sending, outlet, resets, waste },
      pong: (bytes, start) => this.#pong(bytes, start),
      leaves: () => this.#leaves(),
    });
    this.intake = new Intake(this.frames);
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

  /** Tells the client why, and ends the connection. */
  fail(code: number, reason: string): void {
    if (this.state === 'ending' || this.state === 'gone') return;
    this.#options.refused(code === codes.enhanceYourCalm ? 'flood' : 'protocol');
    this.outlet.goaway(this.#streams.lastId, code, reason);
    this.#end();
  }

  /** Ends it without a word. @param reason  for the figures, when the client is the one to blame */
  destroy(reason?: string): void {
    if (this.socket.destroyed) return;
    if (reason !== undefined) this.#options.refused(reason);
    this.socket.destroy();
  }

  /** Asks the client to connect elsewhere, and ends when what is under way is finished. */
  drain(): void {
    if (this.state === 'gone' || this.state === 'ending' || this.#leaving !== 'no') return;
    if (!this.frames.greeted) return this.destroy();
    this.#leaving = 'asked';
    this.outlet.goaway(streamIdMax, codes.noError, '');
    // Requests that were on their way by now are served: they come before the answer to this.
    this.outlet.ping(leaving, false);
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.outlet.ping(alive, false);
  }

  answered(stream: OwnStream): void {
    this.#streams.answered(stream);
  }

  reset(stream: OwnStream, code: number): void {
    this.#streams.reset(stream, code);
  }

  due(stream: OwnStream): void {
    this.#due.push(stream);
    this.#flushSoon();
  }

  flush(): void {
    try {
      // What they do may make more due.
      for (let i = 0; i < this.#due.length; i++) (this.#due[i] as OwnStream).settle();
    } finally {
      this.#due.length = 0;
      this.#flushing = false;
    }
    if (this.state === 'ending' || this.state === 'gone') return;
    if (this.#leaving === 'agreed' && this.#streams.size === 0) this.#end();
    else this.outlet.push();
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
      if (!(error instanceof ConnectionFault)) {
        // A handler threw amid the frames: where the next one begins is lost.
        this.socket.destroy();
        throw error;
      }
      this.fail(error.code, error.message);
    }
    if (this.outlet.unsent > congestedBytes && this.state === 'open') this.#perhapsDeaf();
  }

  /** Nothing that the client says while it does not read could be of use: each request would only make more wait. */
  #perhapsDeaf(): void {
    if (this.outlet.unsent <= deafBytes && !this.sending.full) return;
    this.outlet.congested = true;
    this.state = 'deaf';
    this.socket.pause();
  }

  /** The client has heard that it should leave: what it sends from now on, it sends though it knows. */
  #pong(bytes: Buffer, start: number): void {
    if (this.#leaving !== 'asked' || leaving.compare(bytes, start, start + 8) !== 0) return;
    this.#streams.closed = true;
    this.outlet.goaway(this.#streams.lastId, codes.noError, '');
    this.#leaves();
  }

  /** The client opens no more streams; those that are open are finished. */
  #leaves(): void {
    this.#leaving = 'agreed';
    this.#flushSoon();
  }

  #end(): void {
    this.state = 'ending';
    this.intake.forget();
    this.#streams.close();
    this.outlet.finish();
    // What still comes is thrown away: closing with bytes unread would take the last words from the client.
    this.socket.resume();
  }

  #gone(): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    this.intake.forget();
    this.#streams.close();
    this.#options.gone(this);
  }
}
