import { type BatchSink, type DirectBatches, nextOf } from '../../core/batch-sink.js';
import type { Batch, Change, KeyRange, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { rangeContains } from '../../core/ranges.js';
import { soon } from '../../core/soon.js';
import type { History } from './history.js';
import type { Slot } from './slot.js';

/** One batch holds about so many changes or bytes, and one pull looks at so many records, before others get a turn. */
const batchChangesMax = 1_000;
const batchBytesMax = 1_048_576;
const scanMax = 20_000;
/** Among so few watchers of a key one is found sooner than its ranges are compared. */
const fewWatchers = 8;

/** What a cursor reads from. */
export interface CursorSource {
  readonly history: History;
  /** The newest revision that may be seen. */
  readonly published: Revision;
  /** The position after the last change that may be seen. */
  readonly publishedEnd: number;
  readonly compacted: Revision;
  forget(cursor: Cursor): void;
}

/**
 * One watch: a position in history and a wake-up, never a queue, so a slow consumer costs no memory (K8). While nothing
 * that matches has come, the cursor is idle and stands at the present, wherever that moves; the first matching
 * change gives it a position again.
 */
export class Cursor implements AsyncIterableIterator<Batch>, DirectBatches {
  readonly ranges: readonly KeyRange[];
  readonly #source: CursorSource;
  readonly #previous: boolean;
  readonly #signal: AbortSignal | undefined;
  #idle = false;
  /** Where the next scan begins, while not idle. */
  #position: number;
  /** The last revision told to the consumer. */
  #told: Revision;
  /** A batch is owed though nothing matched: the first one, or a bookmark. */
  #bookmark: boolean;
  #waiting: BatchSink | null = null;
  #waking = false;
  #failure: { readonly error: unknown } | null = null;
  #done = false;

  constructor(
    source: CursorSource,
    ranges: readonly KeyRange[],
    options: { after: Revision | undefined; previous: boolean; signal: AbortSignal | undefined },
  ) {
    this.#source = source;
    this.ranges = ranges;
    this.#previous = options.previous;
    this.#signal = options.signal;
    this.#told = options.after ?? source.published;
    this.#bookmark = options.after === undefined;
    this.#position = source.history.positionAfter(this.#told);
    this.#idle = this.#position >= source.publishedEnd;
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
  }

  get idleSince(): Revision | null {
    return this.#idle ? this.#told : null;
  }

  /** A change at `position` matches. */
  notice(position: number): void {
    if (this.#idle) {
      this.#idle = false;
      this.#position = position;
    }
    this.#wake();
  }

  /** Of an idle one, the bookmark tells the present: so its place keeps ahead of compaction. */
  owe(): void {
    this.#bookmark = true;
    this.#wake();
  }

  fail(error: unknown): void {
    if (this.#done || this.#failure !== null) return;
    this.#failure = { error };
    this.#detach();
    if (this.#waiting !== null) this.#settle();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Batch>> {
    return nextOf(this);
  }

  pull(sink: BatchSink): void {
    if (this.#waiting !== null) {
      const text = 'a watch gives one batch at a time: await it first';
      return sink.failed(new WaymarkError('invalid', text));
    }
    this.#waiting = sink;
    if (this.#ready()) this.#settle();
  }

  return(): Promise<IteratorResult<Batch>> {
    this.#done = true;
    this.#detach();
    if (this.#waiting !== null) this.#settle();
    return Promise.resolve({ value: undefined, done: true });
  }

  #ready(): boolean {
    return this.#done || this.#failure !== null || !this.#idle || this.#bookmark;
  }

  /** Commits of one turn of the loop come in one batch: the wake-up waits for the microtask queue. */
  #wake(): void {
    if (this.#waiting === null || this.#waking) return;
    this.#waking = true;
    soon(this.#woken);
  }

  readonly #woken = (): void => {
    this.#waking = false;
    if (this.#waiting !== null && this.#ready()) this.#settle();
  };

  #settle(): void {
    const sink = this.#waiting as BatchSink;
    if (this.#done) {
      this.#waiting = null;
      return sink.ended();
    }
    if (this.#failure === null) {
      const batch = this.#take();
      if (batch === null) return;
      this.#waiting = null;
      return sink.batch(batch);
    }
    this.#waiting = null;
    this.#done = true;
    sink.failed(this.#failure.error);
  }

  /** Null when nothing is owed after all, or the history it needs is gone (then the consumer has been told). */
  #take(): Batch | null {
    const source = this.#source;
    if (!this.#idle && this.#lostHistory()) {
      this.fail(compactedError(source.compacted));
      return null;
    }
    const changes = this.#idle ? [] : this.#scan();
    const scanned = this.#idle ? source.published : this.#scannedTo();
    const revision = Math.max(this.#told, scanned);
    if (changes.length === 0 && !this.#bookmark && this.#idle && revision === this.#told)
      return null;
    this.#bookmark = false;
    this.#told = revision;
    return { revision, changes };
  }

  #lostHistory(): boolean {
    const { history, compacted } = this.#source;
    if (this.#position < history.start) return true;
    return history.at(this.#position).modRevision <= compacted;
  }

  /** Matching changes of whole revisions from the position on, up to the bounds of one batch. */
  #scan(): Change[] {
    const { history, publishedEnd } = this.#source;
    const changes: Change[] = [];
    let bytes = 0;
    let position = this.#position;
    const scanEnd = position + scanMax;
    let revision = 0;
    for (; position < publishedEnd; position++) {
      const version = history.at(position);
      const full =
        position >= scanEnd || changes.length >= batchChangesMax || bytes >= batchBytesMax;
      if (full && version.modRevision !== revision) break;
      revision = version.modRevision;
      // Behind a source elsewhere, what was told may still be to come.
      if (revision <= this.#told || !this.#matches(version.slot)) continue;
      const { watchers } = version.slot;
      const alone = watchers?.length === 1 && watchers[0] === this;
      const change = history.changeAt(position, this.#previous, alone);
      changes.push(change);
      bytes += version.bytes + (change.previous?.value.length ?? 0);
    }
    this.#position = position;
    this.#idle = position >= publishedEnd;
    return changes;
  }

  /** The last revision that lies wholly before the position. */
  #scannedTo(): Revision {
    return this.#source.history.at(this.#position - 1).modRevision;
  }

  #matches({ key, watchers }: Slot): boolean {
    // Who was found to watch a key watches it for good: ranges never change.
    if (watchers !== undefined && watchers.length <= fewWatchers && watchers.includes(this))
      return true;
    for (const range of this.ranges) if (rangeContains(range, key)) return true;
    return false;
  }

  readonly #abort = (): void => this.fail((this.#signal as AbortSignal).reason);

  #detach(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#source.forget(this);
  }
}

export function compactedError(compacted: Revision): WaymarkError {
  return new WaymarkError(
    'compacted',
    `history below revision ${compacted} is compacted: read the present and watch from there`,
    { compacted },
  );
}
