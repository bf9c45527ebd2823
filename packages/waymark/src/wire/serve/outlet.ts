import type { Batch } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import type { Method } from '../method.js';
import { messages } from '../messages.js';
import { type Welcome, writeWelcome } from '../hello.js';
import { writeError } from '../errors.js';
import { Writer } from '../writer.js';
import type { ChangeCache } from './change-cache.js';
import type { FlushQueue } from './flush-queue.js';
import type { ServedStream } from './stream.js';

/** At once: nothing else can come of this turn; soon: once other watches have told theirs; with answers that follow. */
export type Haste = 'now' | 'soon' | 'with answers';

export interface OutletEvents {
  /** The client reads slower than it asks. */
  congested(): void;
  /** What was sent has been taken. */
  freed(): void;
  /** When news for watchers are to leave. */
  haste(): Haste;
}

/** The outgoing side of a connection: messages are gathered, and leave in one write when the microtasks that write them are done. */
export class Outlet {
  /** Answers and batches wait while true: see `whenFree`. */
  congested = false;
  /** It waits in the queue of flushes. */
  flushing = false;
  readonly #writer = new Writer();
  readonly #changes: ChangeCache;
  readonly #flushes: FlushQueue;
  readonly #bytesMax: number;
  readonly #events: OutletEvents;
  #stream: ServedStream | null = null;
  /** It waits there among those with news. */
  #news = false;
  #ended = false;
  #parked: (() => void)[] = [];

  constructor(
    { changes, flushes }: { readonly changes: ChangeCache; readonly flushes: FlushQueue },
    bytesMax: number,
    events: OutletEvents,
  ) {
    this.#changes = changes;
    this.#flushes = flushes;
    this.#bytesMax = bytesMax;
    this.#events = events;
  }

  attach(stream: ServedStream): void {
    this.#stream = stream;
  }

  ok(id: number, method: Method<unknown, unknown>, value: unknown): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    try {
      writer.byte(messages.ok);
      writer.uint(id);
      method.writeResult(writer, value);
      writer.endAnswer(mark, id);
    } catch (error) {
      writer.rollback(mark);
      return this.error(id, method.whenBroken === 'uncertain' ? untold(error) : error);
    }
    this.#flushSoon();
  }

  error(id: number, error: unknown): void {
    this.#message(messages.error, id, (writer) => writeError(writer, error));
  }

  cancelled(id: number): void {
    this.#message(messages.cancelled, id, () => {});
  }

  batch(id: number, batch: Batch): void {
    if (this.#ended) return;
    const haste = this.#events.haste();
    if (haste !== 'now' && !this.#news) {
      this.#news = true;
      this.#flushes.add(this.#flush, haste === 'soon');
    }
    this.flushing = true;
    try {
      this.#message(messages.batch, id, (writer) => this.#changes.writeBatch(writer, batch));
    } finally {
      if (haste === 'now') this.#flush();
    }
  }

  welcome(welcome: Welcome): void {
    if (this.#ended) return;
    this.#writer.begin();
    this.#writer.byte(messages.welcome);
    writeWelcome(this.#writer, welcome);
    this.#writer.end();
    this.#flushSoon();
  }

  signal(type: number): void {
    if (this.#ended) return;
    this.#writer.begin();
    this.#writer.byte(type);
    this.#writer.end();
    this.#flushSoon();
  }

  /** Runs `resume` when there is room again, or when it is over. */
  whenFree(resume: () => void): void {
    this.#parked.push(resume);
  }

  drained(): void {
    if (!this.congested || this.#ended) return;
    this.congested = false;
    this.#resumeParked();
    if (!this.congested) this.#events.freed();
  }

  /** Sends what is gathered, and ends the stream behind it. */
  finish(): void {
    const bytes = this.#ended ? null : this.#writer.take();
    if (bytes !== null) this.#stream?.send(bytes);
    this.#stream?.end();
  }

  end(): void {
    this.#ended = true;
    this.congested = false;
    this.#resumeParked();
  }

  #message(type: number, id: number, write: (writer: Writer) => void): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    try {
      writer.byte(type);
      writer.uint(id);
      write(writer);
      writer.endAnswer(mark, id);
    } catch (error) {
      writer.rollback(mark);
      throw error;
    }
    this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#writer.pending > this.#bytesMax) this.#congest();
    if (this.flushing) return;
    this.flushing = true;
    this.#flushes.add(this.#flush, false);
  }

  readonly #flush = (): void => {
    this.flushing = false;
    this.#news = false;
    const stream = this.#stream;
    if (stream === null || this.#ended) return;
    const bytes = this.#writer.take();
    if (bytes !== null) stream.send(bytes);
    if (stream.buffered > this.#bytesMax) this.#congest();
    else this.drained();
  };

  #congest(): void {
    if (this.congested) return;
    this.congested = true;
    this.#events.congested();
  }

  #resumeParked(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const resume of parked) resume();
  }
}

/** It may have changed something: that its answer has no room is no refusal. */
function untold(error: unknown): unknown {
  if (!isWaymarkError(error, 'too_large')) return error;
  return new WaymarkError('uncertain', `it was done, but ${error.message}`, error.facts);
}
