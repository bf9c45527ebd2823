import { frameBytesMax, windowBytesDefault, windowBytesMax } from './codes.js';
import type { Budget } from './budget.js';
import type { Outlet } from './outlet.js';
import type { OwnStream } from './stream.js';

/** Of one stream, and of all of one connection: when so much waits to be sent, `write` returns false. */
const streamBytes = 65_536;
const connectionBytes = 4_194_304;
/** A client that opens its window for so little at a time makes this side work for nothing. */
const fewBytes = 256;

/**
 * The bodies of one connection's answers, as far as the client takes them (RFC 9113 section 5.2). What cannot leave waits in its stream,
 * by reference; streams take turns, a frame each.
 */
export class SendFlow {
  readonly #outlet: Outlet;
  readonly #waste: Budget;
  /** Streams with bytes to send and a window to send them in. */
  readonly #ready: OwnStream[] = [];
  window = windowBytesDefault;
  /** Of a stream that opens. */
  initialWindow = windowBytesDefault;
  /** What waits in all streams. */
  queued = 0;
  /** Grows by what no longer waits. */
  dequeued = 0;

  constructor(outlet: Outlet, waste: Budget) {
    this.#outlet = outlet;
    this.#waste = waste;
  }

  /** Whether more waits than should. */
  get full(): boolean {
    return this.queued >= connectionBytes;
  }

  /** @returns false when the next piece should wait */
  write(stream: OwnStream, bytes: Uint8Array): boolean {
    const length = bytes.length;
    if (
      stream.queue === null &&
      length <= stream.sendWindow &&
      length <= this.window &&
      length <= frameBytesMax &&
      !this.#outlet.congested
    ) {
      if (length === 0) return true;
      this.#spend(stream, length);
      this.#outlet.data(stream.id, bytes, 0, length, false);
      return true;
    }
    if (length > 0) this.#enqueue(stream, bytes);
    if (stream.queue === null) return true;
    if (stream.queued < streamBytes && !this.full) return true;
    stream.wantsDrain = true;
    return false;
  }

  /** @returns false when the window would go beyond what one can be */
  open(bytes: number): boolean {
    this.window += bytes;
    if (this.window > windowBytesMax) return false;
    this.pump();
    return true;
  }

  openStream(stream: OwnStream, bytes: number): boolean {
    stream.sendWindow += bytes;
    if (stream.sendWindow > windowBytesMax) return false;
    this.#makeReady(stream);
    this.pump();
    return true;
  }

  /** A new size for the windows of streams, those that are open too; they may go below zero by it (section 6.9.2). */
  resize(streams: readonly OwnStream[], bytes: number): boolean {
    const more = bytes - this.initialWindow;
    this.initialWindow = bytes;
    for (const stream of streams) {
      stream.sendWindow += more;
      if (stream.sendWindow > windowBytesMax) return false;
      this.#makeReady(stream);
    }
    this.pump();
    return true;
  }

  /** Sends what can be sent. */
  pump(): void {
    const ready = this.#ready;
    while (ready.length > 0 && this.window > 0 && !this.#outlet.congested) {
      const stream = ready.shift() as OwnStream;
      stream.ready = false;
      if (stream.queue === null || stream.sendWindow <= 0) continue;
      this.#frame(stream, stream.queue);
      this.#makeReady(stream);
    }
  }

  /** Nothing of the stream will be sent any more. */
  forget(stream: OwnStream): void {
    if (stream.queue === null) return;
    this.queued -= stream.queued;
    stream.queued = 0;
    stream.queue = null;
    if (stream.ready) this.#ready.splice(this.#ready.indexOf(stream), 1);
    stream.ready = false;
  }

  #enqueue(stream: OwnStream, bytes: Uint8Array): void {
    if (stream.queue === null) stream.queue = [bytes];
    else stream.queue.push(bytes);
    stream.queued += bytes.length;
    this.queued += bytes.length;
    this.#makeReady(stream);
    this.pump();
  }

  #makeReady(stream: OwnStream): void {
    if (stream.ready || stream.queue === null || stream.sendWindow <= 0) return;
    stream.ready = true;
    this.#ready.push(stream);
  }

  #frame(stream: OwnStream, queue: Uint8Array[]): void {
    const first = queue[0] as Uint8Array;
    const from = stream.queueAt;
    const left = first.length - from;
    const length = Math.min(left, frameBytesMax, stream.sendWindow, this.window);
    if (length < fewBytes && length < left) this.#waste.spend();
    else this.#waste.earn();
    this.#spend(stream, length);
    this.#outlet.data(stream.id, first, from, from + length, false);
    stream.queued -= length;
    this.queued -= length;
    this.dequeued += length;
    stream.queueAt = from + length;
    if (length < left) return;
    queue.shift();
    stream.queueAt = 0;
    if (queue.length > 0) return;
    stream.queue = null;
    stream.emptied();
  }

  #spend(stream: OwnStream, bytes: number): void {
    stream.sendWindow -= bytes;
    this.window -= bytes;
  }
}
