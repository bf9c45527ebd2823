import type { Clock } from '../../core/clock.js';
import { FrameSplitter, preface } from '../frames.js';
import { malformed, Reader } from '../reader.js';
import type { ServedStream } from './stream.js';

/**
 * Messages of so much weight are handled before their answers leave and others get a turn. A client with many calls under way
 * then works on the first answers while the rest is handled, where both would wait for each other in lock step.
 */
const sliceWeight = 64;
/** Of fewer that came together a slice ends in their middle where answers wait to leave, but not before so many. */
const halfMin = 8;
const heldBytesMax = 262_144;

export interface IntakeEvents {
  /** Reads and handles one message. @returns its weight: 1 for a plain read or write */
  message(reader: Reader): number;
  /** Whether answers wait to leave. Those of a durable engine wait for its disk: what comes together is flushed together. */
  answering(): boolean;
  /** What came makes no sense; nothing more is read. */
  failed(error: unknown): void;
}

/** The incoming side of a connection: chunks to frames to messages, a slice at a time. */
export class Intake {
  /** While true nothing is handled, and nothing more is read. */
  stopped = false;
  readonly #clock: Clock;
  readonly #events: IntakeEvents;
  readonly #splitter = new FrameSplitter((chunk, start, end) => this.#frame(chunk, start, end));
  #stream: ServedStream | null = null;
  #prefaceLeft: number;
  #ended = false;
  /** Frames that wait for their slice. */
  #held: Reader[] = [];
  #heldBytes = 0;
  #left = sliceWeight;
  /** Messages of the chunk that came last, as long as its first slice lasts. */
  #handled = 0;
  #scheduled = false;

  constructor(clock: Clock, prefaced: boolean, events: IntakeEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#prefaceLeft = prefaced ? preface.length : 0;
  }

  attach(stream: ServedStream): void {
    this.#stream = stream;
  }

  push(chunk: Buffer): void {
    if (!this.#scheduled) this.#left = sliceWeight;
    this.#handled = 0;
    try {
      const rest = this.#prefaceLeft > 0 ? this.#skipPreface(chunk) : chunk;
      if (rest.length > 0) this.#splitter.push(rest);
    } catch (error) {
      this.#events.failed(error);
    }
  }

  stop(): void {
    this.stopped = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.stopped = false;
    if (this.#held.length > 0) this.#schedule();
    if (this.#heldBytes <= heldBytesMax) this.#stream?.resume();
  }

  end(): void {
    this.#ended = true;
    this.#held = [];
  }

  #skipPreface(chunk: Buffer): Buffer {
    const length = Math.min(this.#prefaceLeft, chunk.length);
    const at = preface.length - this.#prefaceLeft;
    for (let i = 0; i < length; i++) {
      if (chunk[i] !== preface[at + i]) throw malformed('it does not begin as this protocol does');
    }
    this.#prefaceLeft -= length;
    return chunk.subarray(length);
  }

  #frame(chunk: Buffer, start: number, end: number): void {
    const reader = new Reader(chunk, start, end);
    if (this.#held.length === 0 && this.#handle(reader)) return;
    this.#held.push(reader);
    this.#heldBytes += end - start;
    if (this.#heldBytes > heldBytesMax) this.#stream?.pause();
    this.#schedule();
  }

  /** @returns false when the slice ended first */
  #handle(reader: Reader): boolean {
    while (!reader.done) {
      if (this.#ended) return true;
      if (this.#left <= 0 || this.stopped) return false;
      this.#left -= this.#events.message(reader);
      this.#handled++;
      if (this.#handled >= halfMin && inTheMiddle(reader) && this.#events.answering())
        this.#left = 0;
    }
    return true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.nextTurn(this.#nextSlice);
  }

  readonly #nextSlice = (): void => {
    this.#scheduled = false;
    this.#left = sliceWeight;
    this.#handled = -Infinity;
    if (this.stopped || this.#ended) return;
    try {
      let done = 0;
      while (done < this.#held.length && this.#handle(this.#held[done] as Reader)) done++;
      this.#held = this.#held.slice(done);
    } catch (error) {
      return this.#events.failed(error);
    }
    if (this.#held.length > 0) return this.stopped ? undefined : this.#schedule();
    if (this.#heldBytes > heldBytesMax && !this.stopped) this.#stream?.resume();
    this.#heldBytes = 0;
  };
}

/** Of the chunk that it reads: behind its half, and with a third still to come. */
function inTheMiddle({ buffer, position }: Reader): boolean {
  return 2 * position >= buffer.length && 3 * position <= 2 * buffer.length;
}
