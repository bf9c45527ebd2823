import { type BatchSink, type DirectBatches, nextOf } from '../../core/batch-sink.js';
import type { Batch, KeyRange, Revision, WatchOptions } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { validateRanges, validateRevision } from '../../core/validate.js';
import { lazyWatch } from '../kit/lazy-watch.js';
import { WatchGroup, type WatchSource } from './watch-group.js';
import type { WatchStream } from './watch-stream.js';

/**
 * Watches of one client. Those that watch the same share one stream on the wire. A watch is a position, not a queue: it reads
 * from its stream's short ring of batches. One that falls behind the ring leaves the stream and holds nothing; when
 * it is pulled again it catches up by a stream of its own from its position, and joins the others where their rings meet.
 */
export class SharedWatches {
  readonly #source: WatchSource;
  readonly #groups = new Map<string, WatchGroup>();
  readonly #watches = new Set<SharedWatch>();

  constructor(source: WatchSource) {
    this.#source = source;
  }

  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options: WatchOptions,
  ): AsyncIterable<Batch> {
    return lazyWatch(() => {
      validateRanges(ranges);
      validateRevision('after', options.after);
      options.signal?.throwIfAborted();
      const watch = new SharedWatch(this.#group(namespace, ranges, options), options, () => {
        this.#watches.delete(watch);
      });
      this.#watches.add(watch);
      return watch;
    });
  }

  close(): void {
    const closed = new WaymarkError('unavailable', 'the connection was closed');
    for (const watch of this.#watches) watch.fail(closed);
  }

  #group(namespace: string, ranges: readonly KeyRange[], options: WatchOptions): WatchGroup {
    const previous = options.previous === true;
    const key = JSON.stringify([namespace, previous, ranges.map(({ key, end }) => [key, end])]);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new WatchGroup(this.#source, namespace, [...ranges], previous, () => {
        this.#groups.delete(key);
      });
      this.#groups.set(key, group);
    }
    group.members++;
    return group;
  }
}

class SharedWatch implements AsyncIterableIterator<Batch>, DirectBatches {
  readonly #group: WatchGroup;
  readonly #identity: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #gone: () => void;
  /** The last revision told; undefined before the first bookmark. */
  #position: Revision | undefined;
  /** The position came from the server, and is no future. */
  #proven = false;
  #stream: WatchStream | null = null;
  #next = 0;
  #waiting: BatchSink | null = null;
  #failure: { readonly error: unknown } | null = null;
  #done = false;

  constructor(group: WatchGroup, options: WatchOptions, gone: () => void) {
    this.#group = group;
    this.#identity = options.identity;
    this.#position = options.after;
    this.#signal = options.signal;
    this.#gone = gone;
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
    if (this.#stream === null && this.#failure === null) this.#attach();
    this.wake();
  }

  /** The server bookmarks by itself. */
  owe(): void {}

  return(): Promise<IteratorResult<Batch>> {
    this.#done = true;
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#leave();
    waiting?.ended();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Its stream has something new, or has failed. */
  wake(): void {
    if (this.#waiting === null) return;
    const batch = this.#stream === null ? null : this.#take(this.#stream);
    if (batch !== null) return this.#deliver(batch);
    const failure = this.#failure ?? this.#stream?.failure ?? null;
    if (failure === null) return;
    const sink = this.#waiting;
    this.#waiting = null;
    this.#done = true;
    this.#leave();
    sink.failed(failure.error);
  }

  /** The ring moved past what it had read: it stands by its position alone. */
  detached(): void {
    this.#stream = null;
  }

  /** The next batch of the ring that it will read. */
  get cursor(): number {
    return this.#next;
  }

  fail(error: unknown): void {
    if (this.#done || this.#failure !== null) return;
    this.#failure = { error };
    this.#stream?.remove(this);
    this.#stream = null;
    this.wake();
  }

  #deliver(batch: Batch): void {
    const sink = this.#waiting as BatchSink;
    this.#waiting = null;
    this.#position = batch.revision;
    this.#proven = true;
    this.#rejoin();
    sink.batch(batch);
  }

  /** What the ring holds after the position; batches are whole revisions, so a cut by revision is exact. */
  #take(stream: WatchStream): Batch | null {
    for (;;) {
      const batch = stream.at(this.#next);
      if (batch === undefined) return null;
      this.#next++;
      stream.read();
      const position = this.#position;
      if (position === undefined) return batch;
      if (batch.revision < position) continue;
      const first = batch.changes[0];
      if (batch.revision === position && first !== undefined) continue;
      if (first === undefined || first.entry.modRevision > position) return batch;
      const changes = batch.changes.filter((change) => change.entry.modRevision > position);
      return { revision: batch.revision, changes };
    }
  }

  #attach(): void {
    const { streams } = this.#group;
    const position = this.#position;
    if (position === undefined) {
      if (streams.length > 0) return this.#startAtPresent();
      return this.#enter(this.#group.open(undefined, this.#identity));
    }
    const known = this.#group.source.identity();
    const sameEngine = this.#identity === undefined || this.#identity === known;
    const ring = sameEngine
      ? streams.find((stream) => stream.reaches(position, this.#proven))
      : undefined;
    if (ring !== undefined && !this.#proven) return this.#prove(position);
    this.#enter(
      ring ?? this.#group.open(position, this.#identity ?? (this.#proven ? known : undefined)),
    );
  }

  /** A ring may hold what the server no longer has: whether a watch from there is granted is the server's to say. */
  #prove(position: Revision): void {
    const { source, namespace, ranges } = this.#group;
    source.present(namespace, ranges[0] as KeyRange, position).then(
      () => {
        if (this.#done || this.#failure !== null || this.#waiting === null) return;
        this.#proven = true;
        this.#attach();
        this.wake();
      },
      (error: unknown) => this.fail(error),
    );
  }

  #enter(stream: WatchStream): void {
    this.#stream = stream;
    this.#next = stream.indexAfter(this.#position);
    stream.add(this);
  }

  /** The shared stream may be behind: what was committed before this watch began is not for it. */
  #startAtPresent(): void {
    const { source, namespace, ranges } = this.#group;
    source.present(namespace, ranges[0] as KeyRange).then(
      (revision) => {
        if (this.#done || this.#failure !== null || this.#waiting === null) return;
        this.#deliver({ revision, changes: [] });
        if (this.#stream === null) this.#attach();
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** From a stream of its own to the shared one, as soon as that one's ring reaches back to here. */
  #rejoin(): void {
    const shared = this.#group.streams[0];
    const stream = this.#stream;
    if (stream === null || shared === undefined || shared === stream) return;
    if (!shared.reaches(this.#position as Revision, true)) return;
    stream.remove(this);
    this.#enter(shared);
  }

  readonly #abort = (): void => this.fail((this.#signal as AbortSignal).reason);

  #left = false;

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#stream?.remove(this);
    this.#stream = null;
    this.#group.left();
    this.#gone();
  }
}
