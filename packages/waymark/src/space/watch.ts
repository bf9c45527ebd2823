import type { Batch, Entry, KeyRange, Revision, WatchOptions } from '../core/engine.js';
import { isWaymarkError } from '../core/errors.js';
import type { JoinedSignal } from '../core/joined-signal.js';
import { EventIterator } from './event-iterator.js';
import { auditRange, below, dataKey, exactly } from './layout.js';
import { pathToBytes } from './paths.js';
import type { Watch, WatchCall, WatchEvent } from './types.js';
import { pause } from '../core/pause.js';
import { Seen } from './seen.js';
import {
  difference,
  eventsOf,
  initialEvent,
  type LastBatch,
  type WatchParts,
} from './watch-events.js';

const pageSize = 1_000;
/** What is told of a snapshot at once ends early when its values have come to this: that much is decoded beside what the engine holds. */
const groupBytesMax = 1_048_576;
const retryMs = 200;

/** Events of whole revisions. */
export interface EventGroup<T> {
  readonly events: readonly WatchEvent<T>[];
  /** Resume after this once the events are handled; undefined in the middle of a snapshot, which must be begun anew. */
  readonly resume: Revision | undefined;
}

/** One event at a time. */
export function watchPath<T>(parts: WatchParts<T>): Watch<T> {
  return new EventIterator(new EventGroups(parts), parts.crowds);
}

/**
 * A gapless watch: what is there, read page by page at one revision; then every change after it. When the history it needs was
 * compacted, it reads the present again and yields one `resync` and the difference. Ends with `superseded` when the namespace is
 * removed or the engine is another one.
 */
export function watchGroups<T>(parts: WatchParts<T>): AsyncIterableIterator<EventGroup<T>> {
  return new EventGroups(parts);
}

/** A class and not a generator: a batch costs one promise on its way, and leaving does not wait for the next one. */
export class EventGroups<T> implements AsyncIterableIterator<EventGroup<T>> {
  /** As given until it begins; then its signal is that of `#ending`. */
  #parts: WatchParts<T>;
  readonly #given: WatchParts<T>;
  #ending: JoinedSignal | null = null;
  readonly #ranges: readonly KeyRange[];
  #seen = new Seen();
  /** Here, as looking it up in the call costs a thousand watches more than what they do with it. */
  readonly #last: LastBatch<T> | null;
  /** The snapshot's pages that were not asked for yet. */
  #pages: Iterator<EventGroup<T>> | null = null;
  #batches: AsyncIterator<Batch> | null = null;
  /** Undefined before the snapshot. */
  #after: Revision | undefined;
  #identity: string | undefined;
  #done = false;

  constructor(parts: WatchParts<T>) {
    this.#parts = parts;
    this.#given = parts;
    this.#ranges = rangesOf(parts.path, parts.call);
    this.#last = parts.call.previous === true ? null : parts.last;
    this.#after = parts.call.after;
    this.#identity = parts.call.identity;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<EventGroup<T>>> {
    if (this.#done) return Promise.resolve({ value: undefined, done: true });
    const batches = this.#batches;
    if (batches !== null) return batches.next().then(this.told, this.failed);
    return this.#begin().catch((error: unknown) => {
      this.#end();
      throw error;
    });
  }

  return(): Promise<IteratorResult<EventGroup<T>>> {
    this.#end();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Where batches come from, once the snapshot is told: for who hands them to `take` and `failed` without another promise. */
  get batches(): AsyncIterator<Batch> | null {
    return this.#batches;
  }

  get keysSeen(): number {
    return this.#seen.size;
  }

  /** Whether both watch the same engine's changes after the same revision: of the same ranges, they have then told the same. */
  standsWith(other: EventGroups<T>): boolean {
    return this.#after === other.#after && this.#identity === other.#identity;
  }

  /** A watch of its own, from where this one stands. */
  fork(): EventGroups<T> {
    const fork = new EventGroups(this.#given);
    fork.#after = this.#after;
    fork.#identity = this.#identity;
    fork.#seen = this.#seen.copy();
    return fork;
  }

  /** What comes before the first batch. */
  async #begin(): Promise<IteratorResult<EventGroup<T>>> {
    if (this.#ending === null) {
      const { call, join } = this.#given;
      this.#ending = join(call.signal);
      this.#parts = { ...this.#given, call: { ...call, signal: this.#ending.signal } };
    }
    if (this.#after === undefined && this.#pages === null) {
      const present = await snapshot(this.#parts, this.#ranges);
      this.#identity = present.identity;
      this.#pages = initialGroups(this.#parts, present, this.#seen);
    }
    const page = this.#pages?.next();
    if (page?.done === false) {
      this.#after = page.value.resume;
      return page;
    }
    this.#pages = null;
    this.#watch();
    return await this.next();
  }

  #watch(): void {
    const { host, namespace, call } = this.#parts;
    // An unlock tells whose lock it was: that is in the mark before.
    const previous = call.previous === true || call.locks !== false;
    const { signal } = call;
    const options: WatchOptions = {
      after: this.#after,
      identity: this.#identity,
      previous,
      signal,
    };
    const batches = host.watch(namespace, [...this.#ranges, auditRange], options);
    this.#batches = batches[Symbol.asyncIterator]();
  }

  readonly told = (step: IteratorResult<Batch>): IteratorResult<EventGroup<T>> => {
    if (step.done === true) {
      this.#end();
      return { value: undefined, done: true };
    }
    return { value: { events: this.take(step.value), resume: step.value.revision }, done: false };
  };

  /** What a batch tells. */
  take(batch: Batch): readonly WatchEvent<T>[] {
    try {
      const events = eventsOf(this.#parts, this.#last, batch, this.#seen);
      this.#after = batch.revision;
      return events;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  readonly failed = async (error: unknown): Promise<IteratorResult<EventGroup<T>>> => {
    if (this.#done) return { value: undefined, done: true };
    try {
      return await this.#recover(error);
    } catch (final) {
      this.#end();
      throw final;
    }
  };

  async #recover(error: unknown): Promise<IteratorResult<EventGroup<T>>> {
    const parts = this.#parts;
    const { signal } = parts.call;
    const from = this.#after ?? 0;
    this.#batches = null;
    if (isWaymarkError(error, 'unavailable') && signal?.aborted !== true) {
      if ((await parts.host.status({ signal }).catch(() => null)) === null) throw error;
      await pause(parts.clock, retryMs, signal);
      this.#watch();
      return await this.next();
    }
    if (!isWaymarkError(error, 'compacted')) throw error;
    const { entries, revision } = await snapshot(parts, this.#ranges);
    const resync: WatchEvent<T> = { kind: 'resync', path: parts.path, revision, from };
    const events = [resync, ...difference(parts, entries, this.#seen, revision)];
    this.#after = revision;
    this.#watch();
    return { value: { events, resume: revision }, done: false };
  }

  #end(): void {
    this.#done = true;
    this.#ending?.leave();
    const batches = this.#batches;
    this.#batches = null;
    void batches?.return?.();
  }
}

function* initialGroups<T>(
  parts: WatchParts<T>,
  { entries, revision }: Present,
  seen: Seen,
): Generator<EventGroup<T>> {
  for (let at = 0; at < entries.length;) {
    const end = groupEnd(entries, at);
    const page = entries.slice(at, end);
    at = end;
    for (const entry of page) seen.set(entry.key, entry.modRevision);
    yield { events: page.map((entry) => initialEvent(parts, entry)), resume: undefined };
  }
  yield { events: [], resume: revision };
}

/** At least one entry after `at`, which may be larger by itself. */
function groupEnd(entries: readonly Entry[], at: number): number {
  let end = at;
  for (let bytes = 0; end < entries.length && end - at < pageSize && bytes < groupBytesMax; end++) {
    bytes += entries[end]?.value.length ?? 0;
  }
  return end;
}

function rangesOf(path: string, call: WatchCall): KeyRange[] {
  const bytes = pathToBytes(path);
  const ranges: KeyRange[] = [{ key: dataKey(bytes) }];
  if (call.tree === true) ranges.push(below('d', bytes));
  if (call.locks === false) return ranges;
  ranges.push(exactly('h', bytes));
  if (call.tree === true) ranges.push(below('h', bytes));
  return ranges;
}

interface Present {
  readonly identity: string;
  readonly revision: Revision;
  readonly entries: readonly Entry[];
}

/** The present, whole at one revision; begun anew when compaction overtakes it. */
async function snapshot<T>(parts: WatchParts<T>, ranges: readonly KeyRange[]): Promise<Present> {
  const { signal } = parts.call;
  for (;;) {
    const { identity, revision } = await parts.host.status({ signal });
    try {
      const entries: Entry[] = [];
      for (const range of ranges) await readInto(entries, parts, range, revision);
      return { identity, revision, entries };
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }
}

async function readInto<T>(
  entries: Entry[],
  parts: WatchParts<T>,
  range: KeyRange,
  at: Revision,
): Promise<void> {
  const { signal } = parts.call;
  for (let key = range.key; ;) {
    const query = { key, end: range.end, at, limit: pageSize, uncounted: true };
    const page = await parts.host.read(parts.namespace, query, { signal });
    entries.push(...page.entries);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return;
    key = `${last.key}\0`;
  }
}
