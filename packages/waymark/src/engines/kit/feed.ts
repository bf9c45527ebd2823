import type { Clock } from '../../core/clock.js';
import type { Batch, Change, KeyRange, Revision, WatchOptions } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { validateRanges, validateRevision } from '../../core/validate.js';
import { compactedError, Cursor, type CursorSource } from './cursor.js';
import { FeedWatch } from './feed-watch.js';
import { History } from './history.js';
import { lazyWatch } from './lazy-watch.js';
import { Slot } from './slot.js';
import { WatchIndex } from './watch-index.js';

/** Where a feed has its changes from: an engine that is elsewhere. */
export interface FeedSource {
  /** History below this is gone, as far as this process knows (K9). */
  readonly compacted: Revision;

  /**
   * Every change after `after`, whole revisions in order. It bridges interruptions by itself, and ends by throwing what ends every watch:
   * `compacted`, `superseded`, or that it is closed. Absent: whoever made the feed brings it the changes, see `begin`.
   */
  follow?(after: Revision, signal: AbortSignal): AsyncIterable<Batch>;

  /** As `follow`, of these ranges, for one watch alone: what the feed does not keep. Bookmarks tell how far it has come. */
  replay(
    ranges: readonly KeyRange[],
    after: Revision,
    options: { readonly previous: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Batch>;

  /**
   * The present revision, linearizable.
   * @throws {WaymarkError} what a watch after `at` is refused with: `compacted`, `future_revision`
   */
  present(at?: Revision): Promise<Revision>;
}

export interface FeedOptions {
  readonly clock: Clock;
  /** Names the order of commits; known once the engine is open. */
  readonly identity: string;
  /** Changes kept for those who lag: at most so many, and so many bytes. */
  readonly changesMax?: number | undefined;
  readonly bytesMax?: number | undefined;
  /** The changes that come carry the entry before: a watch that asks for it reads the feed as well. Default false. */
  readonly previous?: boolean | undefined;
}

/** Without watches the source is followed so much longer: the next one mostly comes soon. */
const lingerMs = 10_000;

/**
 * Any number of watches over one stream of an engine that is elsewhere. What the stream brings is kept for a while, and each watch is a
 * cursor over that; one that asks for more, or falls behind it, replays from the source until it meets the feed.
 */
export class Feed implements CursorSource {
  readonly source: FeedSource;
  readonly history = new History();
  /** What cursors lose is not compacted, only not kept here. */
  readonly compacted = 0;
  published: Revision = 0;
  publishedEnd = 0;
  readonly #clock: Clock;
  readonly #identity: string;
  readonly #previous: boolean;
  readonly #changesMax: number;
  readonly #bytesMax: number;
  readonly #index = new WatchIndex();
  readonly #watches = new Set<FeedWatch>();
  /** Everything after this revision is kept or still to come; null while the source is not followed. */
  #floor: Revision | null = null;
  #stopFollowing: AbortController | null = null;
  #cancelLinger: () => void = () => {};
  #closed = false;

  constructor(source: FeedSource, options: FeedOptions) {
    this.source = source;
    this.#clock = options.clock;
    this.#identity = options.identity;
    this.#previous = options.previous === true;
    this.#changesMax = options.changesMax ?? 10_000;
    this.#bytesMax = options.bytesMax ?? 16 * 1_048_576;
  }

  watch(ranges: readonly KeyRange[], options: WatchOptions = {}): AsyncIterable<Batch> {
    return lazyWatch(() => {
      if (this.#closed) throw closedError();
      validateRanges(ranges);
      validateRevision('after', options.after);
      options.signal?.throwIfAborted();
      const { identity } = options;
      if (identity !== undefined && identity !== this.#identity) {
        throw supersededError(identity, this.#identity);
      }
      const watch = new FeedWatch(this, [...ranges], options);
      this.#watches.add(watch);
      this.#cancelLinger();
      return watch;
    });
  }

  /** Whether nothing after `revision` is missing here, of what a watch asks for. */
  reaches(revision: Revision, previous: boolean): boolean {
    if (previous && !this.#previous) return false;
    return this.#floor !== null && this.#floor <= revision;
  }

  /** Whether a watch after `revision` can begin here, and the source would have nothing against it. */
  covers(revision: Revision, previous: boolean): boolean {
    const { compacted } = this.source;
    return this.reaches(revision, previous) && revision <= this.published && revision >= compacted;
  }

  /** A cursor from `after`, which the feed reaches. */
  join(ranges: readonly KeyRange[], after: Revision, previous: boolean): Cursor {
    const cursor = new Cursor(this, ranges, { after, previous, signal: undefined });
    this.#index.add(cursor);
    return cursor;
  }

  /** Follows the source from `revision`, unless it does already. */
  start(revision: Revision): void {
    const { source } = this;
    if (source.follow === undefined || this.#floor !== null || this.#closed) return;
    this.begin(revision);
    const stop = new AbortController();
    this.#stopFollowing = stop;
    void this.#follow(source.follow(revision, stop.signal), stop.signal);
  }

  /** What is pushed from now on is all that comes after `revision`. */
  begin(revision: Revision): void {
    this.#floor = revision;
    this.published = Math.max(this.published, revision);
  }

  /** Keeps nothing any more: each watch replays from the source, until the feed begins again and they meet. */
  letGo(): void {
    this.#stop();
    for (const cursor of [...this.#index.cursors]) cursor.fail(compactedError(this.compacted));
  }

  forget(cursor: Cursor): void {
    this.#index.remove(cursor);
  }

  /** A watch has ended. */
  left(watch: FeedWatch): void {
    if (!this.#watches.delete(watch) || this.#watches.size > 0 || this.#closed) return;
    this.#cancelLinger();
    this.#cancelLinger = this.#clock.after(lingerMs, () => {
      if (this.#watches.size === 0 && this.#stopFollowing !== null) this.#stop();
    });
  }

  /** What came next, whole revisions. */
  push({ changes, revision }: Batch): void {
    const { history } = this;
    const begin = history.end;
    for (const change of changes) this.#keep(change);
    this.published = Math.max(this.published, revision);
    this.publishedEnd = history.end;
    for (let position = begin; position < history.end; position++) {
      const { slot } = history.at(position);
      for (const cursor of this.#index.watchersOf(slot)) cursor.notice(position);
    }
    this.#forgetOldest();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelLinger();
    this.#stop();
    for (const watch of [...this.#watches]) watch.fail(closedError());
  }

  async #follow(batches: AsyncIterable<Batch>, signal: AbortSignal): Promise<void> {
    try {
      for await (const batch of batches) {
        if (signal.aborted) return;
        this.push(batch);
      }
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  #keep(change: Change): void {
    const version = this.history.take();
    version.repeat(change, new Slot(change.entry.key));
    this.history.push(version);
  }

  /** Whole revisions: the floor is the last one of which something is gone. */
  #forgetOldest(): void {
    const { history } = this;
    while (history.end - history.start > this.#changesMax || history.bytes > this.#bytesMax) {
      const oldest = history.oldest();
      if (oldest === undefined) return;
      this.#floor = oldest.modRevision;
      history.dropOldest();
    }
  }

  /** What ends the source ends every watch on it; the next one begins anew. */
  #fail(error: unknown): void {
    this.#stop();
    for (const watch of [...this.#watches]) watch.fail(error);
  }

  #stop(): void {
    this.#stopFollowing?.abort();
    this.#stopFollowing = null;
    this.#floor = null;
    const { history } = this;
    while (history.oldest() !== undefined) history.dropOldest();
  }
}

/** Whether a cursor was failed for what the feed keeps no more, which a replay has. */
export function isOutrun(error: unknown): boolean {
  return isWaymarkError(error, 'compacted') && error.facts.compacted === 0;
}

export function supersededError(asked: string, identity: string): WaymarkError {
  const text = `revisions of engine ${asked} mean nothing on ${identity}: start from a snapshot`;
  return new WaymarkError('superseded', text);
}

export function closedError(): WaymarkError {
  return new WaymarkError('unavailable', 'the engine is closed');
}
