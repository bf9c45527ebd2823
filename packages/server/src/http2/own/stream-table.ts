import type { StreamHandler, ServedStream } from '../transport.js';
import type { Budget } from './budget.js';
import { codes, ConnectionFault } from './codes.js';
import type { FieldBlock } from './field-block.js';
import { OpenStreams } from './open-streams.js';
import { OwnStream, type StreamHost } from './stream.js';

/** Streams that this side gave up, and of which frames may still come: so many are remembered. */
const givenUpMax = 4_096;

const headTooLarge = [[':status', '431']] as const;

export interface StreamTableOptions {
  readonly host: StreamHost;
  readonly streamsMax: number;
  readonly accept: (stream: ServedStream) => StreamHandler;
  /** Spent by requests that are given up before they are answered. */
  readonly resets: Budget;
  /** Spent by frames that say nothing. */
  readonly waste: Budget;
}

/** The streams of one connection, and what a frame means in the state its stream is in (RFC 9113 section 5.1). */
export class StreamTable {
  readonly #options: StreamTableOptions;
  readonly #open = new OpenStreams();
  readonly #givenUp = new Set<number>();
  /** The largest id that a client has used. */
  lastId = 0;
  /** Streams that open from now on are not served: the client was told so. */
  closed = false;

  constructor(options: StreamTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  all(): OwnStream[] {
    return this.#open.all();
  }

  /** The connection is over. */
  close(): void {
    for (const stream of this.#open.all()) this.#remove(stream);
  }

  /** A head, or trailers. */
  block(id: number, endStream: boolean, block: FieldBlock): void {
    const stream = this.#open.get(id);
    if (stream !== undefined) return this.#trailers(stream, endStream, block);
    if (id > this.lastId) return this.#begin(id, endStream, block);
    if (!this.#givenUp.has(id)) throw new ConnectionFault(codes.streamClosed, 'an id twice');
    if (endStream) this.#givenUp.delete(id);
  }

  /** @param taken  of the window, padding and all */
  data(id: number, bytes: Buffer, taken: number, last: boolean): void {
    const { host, waste } = this.#options;
    host.receiving.take(taken);
    const stream = this.#open.get(id);
    if (stream === undefined) {
      this.#mustBeOld(id, 'DATA');
      host.receiving.give(taken);
      if (!this.#givenUp.has(id)) host.outlet.reset(id, codes.streamClosed);
      else if (last) this.#givenUp.delete(id);
      waste.spend();
      return;
    }
    if (bytes.length === 0 && !last) waste.spend();
    const fault = stream.heard ? codes.streamClosed : stream.take(bytes, taken, last);
    if (fault === 0) return;
    host.receiving.give(taken);
    this.#fault(stream, fault);
  }

  /** The client gives a stream up. */
  cancelled(id: number): void {
    this.#mustBeOld(id, 'RST_STREAM');
    this.#givenUp.delete(id);
    const stream = this.#open.get(id);
    if (stream === undefined) return this.#options.waste.spend();
    this.#options.resets.spend();
    this.#remove(stream);
  }

  windowUpdate(id: number, bytes: number): void {
    this.#mustBeOld(id, 'WINDOW_UPDATE');
    const stream = this.#open.get(id);
    if (stream === undefined) return;
    if (bytes === 0) this.#fault(stream, codes.protocolError);
    else if (!this.#options.host.sending.openStream(stream, bytes))
      this.#fault(stream, codes.flowControlError);
  }

  /** A frame that is wrong in itself. */
  fault(id: number, code: number): void {
    const stream = this.#open.get(id);
    if (stream !== undefined) this.#fault(stream, code);
    else if (id > this.lastId) throw new ConnectionFault(code, 'a wrong frame of no stream');
  }

  /** The answer is whole. What the client has still to say is asked for no more (section 8.1). */
  answered(stream: OwnStream): void {
    this.#options.waste.earn();
    if (stream.heard) this.#remove(stream);
    else this.reset(stream, codes.noError);
  }

  reset(stream: OwnStream, code: number): void {
    this.#options.host.outlet.reset(stream.id, code);
    if (!stream.heard) this.#giveUp(stream.id);
    this.#remove(stream);
  }

  #begin(id: number, endStream: boolean, block: FieldBlock): void {
    const { host, streamsMax, accept } = this.#options;
    if (id % 2 === 0) throw new ConnectionFault(codes.protocolError, 'an even id');
    this.lastId = id;
    if (this.closed) return this.#ignore(id, endStream);
    if (block.tooLarge) return this.#tooLarge(id, endStream);
    if (!block.isHead() || (endStream && block.contentLength > 0))
      return this.#refuse(id, endStream, codes.protocolError);
    if (this.#open.size >= streamsMax) return this.#refuse(id, endStream, codes.refusedStream);
    const stream = new OwnStream(host, id, block, endStream);
    this.#open.add(stream);
    stream.handler = accept(stream);
    if (endStream) stream.hearEnd();
  }

  #trailers(stream: OwnStream, endStream: boolean, block: FieldBlock): void {
    if (stream.heard) return this.#fault(stream, codes.streamClosed);
    const wrong = !endStream || block.malformed || block.pseudo || block.tooLarge;
    const fault = wrong ? codes.protocolError : stream.hearEnd();
    if (fault !== 0) this.#fault(stream, fault);
  }

  #tooLarge(id: number, endStream: boolean): void {
    const { outlet, encoder } = this.#options.host;
    outlet.headers(id, encoder.encode(headTooLarge), true);
    if (!endStream) this.#refuse(id, endStream, codes.noError);
  }

  /** The client was told that this one is not served. */
  #ignore(id: number, endStream: boolean): void {
    if (!endStream) this.#giveUp(id);
    this.#options.waste.spend();
  }

  #refuse(id: number, endStream: boolean, code: number): void {
    this.#options.host.outlet.reset(id, code);
    if (!endStream) this.#giveUp(id);
    this.#options.resets.spend();
  }

  #fault(stream: OwnStream, code: number): void {
    this.#options.resets.spend();
    this.reset(stream, code);
  }

  #remove(stream: OwnStream): void {
    this.#open.delete(stream);
    stream.close();
  }

  #giveUp(id: number): void {
    if (this.#givenUp.size >= givenUpMax) {
      const [oldest] = this.#givenUp;
      if (oldest !== undefined) this.#givenUp.delete(oldest);
    }
    this.#givenUp.add(id);
  }

  /** Idle streams carry nothing but HEADERS. */
  #mustBeOld(id: number, type: string): void {
    if (id > this.lastId || id % 2 === 0)
      throw new ConnectionFault(codes.protocolError, `${type} of an idle stream`);
  }
}
