import {
  askForBookmark,
  type BatchSink,
  type DirectBatches,
  nextOf,
  pull,
} from '../../core/batch-sink.js';
import type { Batch, KeyRange, Revision, WatchOptions } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { type Feed, isOutrun } from './feed.js';

/** One watch over a feed: it replays what the feed does not keep, and reads the feed from where they meet. */
export class FeedWatch implements AsyncIterableIterator<Batch>, DirectBatches, BatchSink {
  readonly #feed: Feed;
  readonly #ranges: readonly KeyRange[];
  readonly #previous: boolean;
  readonly #signal: AbortSignal | undefined;
  /** The last revision told; undefined before the first bookmark. */
  #told: Revision | undefined;
  /** The source has agreed to a watch from there. */
  #agreed = false;
  #batches: AsyncIterator<Batch> | null = null;
  #stopReplay: AbortController | null = null;
  #waiting: BatchSink | null = null;
  #failure: { readonly error: unknown } | null = null;
  #done = false;

  constructor(feed: Feed, ranges: readonly KeyRange[], options: WatchOptions) {
    this.#feed = feed;
    this.#ranges = ranges;
    this.#previous = options.previous === true;
    this.#told = options.after;
    this.#signal = options.signal;
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
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
    if (this.#done) return sink.ended();
    this.#waiting = sink;
    if (this.#failure !== null) return this.#finish((waiting, error) => waiting.failed(error));
    if (this.#batches !== null) return pull(this.#batches, this);
    const told = this.#told;
    this.#agreed ||= told !== undefined && this.#feed.covers(told, this.#previous);
    if (this.#agreed) return this.#open(told as Revision);
    this.#agree().catch((error: unknown) => this.fail(error));
  }

  owe(): void {
    if (this.#batches !== null) askForBookmark(this.#batches);
  }

  return(): Promise<IteratorResult<Batch>> {
    this.#finish((waiting) => waiting.ended());
    return Promise.resolve({ value: undefined, done: true });
  }

  batch(batch: Batch): void {
    const told = this.#told as Revision;
    this.#told = Math.max(told, batch.revision);
    const replaying = this.#stopReplay !== null;
    if (replaying && this.#feed.reaches(this.#told, this.#previous)) this.#leave();
    const sink = this.#waiting;
    this.#waiting = null;
    sink?.batch(batch);
  }

  ended(): void {
    if (!this.#done) this.fail(new WaymarkError('unavailable', 'the watch was cut off'));
  }

  failed(error: unknown): void {
    if (this.#done) return;
    if (this.#stopReplay !== null || !isOutrun(error)) return this.fail(error);
    this.#batches = null;
    if (this.#waiting !== null) this.#open(this.#told as Revision);
  }

  /** Ends it, once what is at hand has been told. */
  fail(error: unknown): void {
    if (this.#done || this.#failure !== null) return;
    this.#failure = { error };
    this.#leave();
    if (this.#waiting !== null) this.#finish((waiting) => waiting.failed(error));
  }

  /** Asks the source where the present is, and whether history reaches back as far as asked. */
  async #agree(): Promise<void> {
    const fromNow = this.#told === undefined;
    const present = await this.#feed.source.present(this.#told);
    if (this.#done || this.#failure !== null) return;
    this.#agreed = true;
    this.#told ??= present;
    this.#feed.start(this.#told);
    if (fromNow) this.batch({ revision: present, changes: [] });
    else if (this.#waiting !== null) this.#open(this.#told);
  }

  #open(after: Revision): void {
    const { source } = this.#feed;
    if (this.#feed.reaches(after, this.#previous)) {
      this.#batches = this.#feed.join(this.#ranges, after, this.#previous);
    } else {
      this.#stopReplay = new AbortController();
      const { signal } = this.#stopReplay;
      const replay = source.replay(this.#ranges, after, { previous: this.#previous, signal });
      this.#batches = replay[Symbol.asyncIterator]();
    }
    pull(this.#batches, this);
  }

  #leave(): void {
    const batches = this.#batches;
    this.#batches = null;
    this.#stopReplay?.abort();
    this.#stopReplay = null;
    batches?.return?.().then(undefined, () => undefined);
  }

  #finish(tell: (waiting: BatchSink, error: unknown) => void): void {
    if (this.#done) return;
    this.#done = true;
    this.#leave();
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#feed.left(this);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) tell(waiting, this.#failure?.error);
  }

  readonly #abort = (): void => this.fail((this.#signal as AbortSignal).reason);
}
