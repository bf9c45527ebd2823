import type { Clock } from '../core/clock.js';
import type {
  Batch,
  CallOptions,
  Engine,
  KeyRange,
  Query,
  Reading,
  ReadOptions,
  Revision,
  WatchOptions,
} from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { rangeWithin } from '../core/ranges.js';
import { systemClock } from '../core/system-clock.js';
import { validateQuery, validateRange, validateWholeNumber } from '../core/validate.js';
import { Feed, type FeedSource } from '../engines/kit/feed.js';
import { ForwardingEngine } from './forward.js';
import type { MirrorCopy } from './mirror-copy.js';
import { readCopy, refuseBeyond } from './mirror-read.js';

/**
 * `building`: it reads what is there. `standing`: it answers from memory. `behind`: its watch broke, or was found to be silent.
 * `let_go`: it passes everything through. Whatever it is, every call is answered: by the engine where not from memory.
 */
export type MirrorState = 'building' | 'standing' | 'behind' | 'let_go';

export interface MirrorEvent {
  readonly state: MirrorState;
  /** Why, for people. */
  readonly message: string;
}

export interface MirrorOptions {
  /** What is kept. Default: everything. */
  readonly range?: KeyRange | undefined;
  /** Memory it may take, of which a quarter, 16 MiB at most, is for those who lag. Default 64 MiB; at least 1 MiB. */
  readonly bytesMax?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Told of each change of its state. */
  readonly told?: ((event: MirrorEvent) => void) | undefined;
}

const bytesMaxDefault = 64 * 1_048_576;
const bytesMaxLeast = 1_048_576;
const feedBytesMax = 16 * 1_048_576;
/** When nothing was heard for so long, the next stale read has the engine asked whether anything happened. */
const quietMs = 5_000;
/** How soon that is asked again while it is behind. */
const askAgainMs = 1_000;
const retryMs = [100, 500, 1_000, 5_000] as const;
/** What was too large is tried again so much later. */
const tooLargeRetryMs = 600_000;

/**
 * Keeps a range of another engine in memory by one watch: stale-marked reads (`{ stale: true }`) and any number of watches of the range
 * cost that engine nothing more. Everything else passes through: linearizable reads, reads of the past, commits, leases.
 *
 * A reading from memory tells the revision it is true at. It is some milliseconds behind, and no more than about 5 s plus one call: a mirror
 * that has heard nothing for so long asks the engine whether there was anything, and leaves reads to it until it has caught up.
 * It builds itself again by itself. Disposing it disposes `engine`.
 *
 * @throws {WaymarkError} `invalid` for the range or `bytesMax`
 */
export function mirror(engine: Engine, options: MirrorOptions = {}): Engine {
  const { range = { key: '', end: '' }, bytesMax = bytesMaxDefault } = options;
  validateRange(range);
  validateWholeNumber('bytesMax', bytesMax);
  if (bytesMax < bytesMaxLeast) {
    const text = `a mirror takes at least ${bytesMaxLeast} bytes, not ${bytesMax}`;
    throw new WaymarkError('invalid', text);
  }
  const { clock = systemClock, told = () => {} } = options;
  return new Mirror(engine, { range, bytesMax, clock, told });
}

interface Settings {
  readonly range: KeyRange;
  readonly bytesMax: number;
  readonly clock: Clock;
  readonly told: (event: MirrorEvent) => void;
}

class Mirror extends ForwardingEngine {
  readonly #range: KeyRange;
  readonly #clock: Clock;
  readonly #told: (event: MirrorEvent) => void;
  readonly #feedBytesMax: number;
  readonly #copyBytesMax: number;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  /** Null until the engine has told who it is. */
  #feed: Feed | null = null;
  #identity: string | undefined;
  #copy: MirrorCopy | null = null;
  /** What was compacted through here. */
  #compacted: Revision = 0;
  #state: MirrorState = 'let_go';
  /** Ends the one watch. */
  #watching = new AbortController();
  #askAt = 0;
  #asking: Promise<void> | null = null;
  #failures = 0;

  constructor(engine: Engine, { range, bytesMax, clock, told }: Settings) {
    super(engine);
    this.#range = range;
    this.#clock = clock;
    this.#told = told;
    this.#feedBytesMax = Math.min(feedBytesMax, Math.floor(bytesMax / 4));
    this.#copyBytesMax = bytesMax - this.#feedBytesMax;
    this.#running = this.#run();
  }

  override async read(query: Query, options: ReadOptions = {}): Promise<Reading> {
    if (options.stale !== true || query.at !== undefined) return await super.read(query, options);
    validateQuery(query);
    options.signal?.throwIfAborted();
    const copy = this.#current();
    if (copy === null || !rangeWithin(query, this.#range)) return await super.read(query, options);
    return copy.read(query);
  }

  override watch(ranges: readonly KeyRange[], options: WatchOptions = {}): AsyncIterable<Batch> {
    const inside = ranges.every((range) => rangeWithin(range, this.#range));
    if (this.#feed === null || !inside) return super.watch(ranges, options);
    return this.#feed.watch(ranges, options);
  }

  override async compact(through: Revision, options?: CallOptions): Promise<void> {
    await super.compact(through, options);
    this.#compacted = Math.max(this.#compacted, through);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new WaymarkError('unavailable', 'the engine is closed'));
    this.#watching.abort();
    this.#copy = null;
    this.#feed?.close();
    await Promise.all([this.#running, this.#asking]);
    await super[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const copy = await this.#build();
        await this.#follow(copy);
      } catch (error) {
        if (signal.aborted) return;
        this.#letGo(error);
        await this.#pause(isWaymarkError(error, 'too_large') ? tooLargeRetryMs : this.#retryMs());
      }
    }
  }

  async #build(): Promise<MirrorCopy> {
    const { signal } = this.#closing;
    this.#turn('building', 'reading what is there');
    const { identity } = await this.engine.status({ signal });
    this.#serve(identity);
    const copy = await readCopy(this.engine, this.#range, { bytesMax: this.#copyBytesMax, signal });
    if ((await this.engine.status({ signal })).identity !== identity) {
      throw new WaymarkError('superseded', `engine ${identity} gave way to another meanwhile`);
    }
    this.#copy = copy;
    this.#feed?.begin(copy.revision);
    this.#heard(`${copy.keys} keys at revision ${copy.revision}`);
    return copy;
  }

  /** Watches of an engine that gave way to another replay, and hear of it so. */
  #serve(identity: string): void {
    if (identity === this.#identity) return;
    const [clock, bytesMax] = [this.#clock, this.#feedBytesMax];
    this.#identity = identity;
    this.#feed = new Feed(this.#source(identity), { clock, identity, bytesMax, previous: true });
  }

  #source(identity: string): FeedSource {
    const { key } = this.#range;
    const one = { key: key === '' ? '\0' : key, countOnly: true };
    const compacted = (): Revision => this.#compacted;
    return {
      get compacted() {
        return compacted();
      },
      replay: (ranges, after, options) =>
        this.engine.watch(ranges, { ...options, after, identity }),
      present: async (at) => (await this.engine.read({ ...one, at })).revision,
    };
  }

  /** The one watch, made again where it broke. Rejects with what makes the copy worthless. */
  async #follow(copy: MirrorCopy): Promise<never> {
    for (;;) {
      this.#watching = new AbortController();
      const { signal } = this.#watching;
      try {
        await this.#watch(copy, signal);
      } catch (error) {
        this.#closing.signal.throwIfAborted();
        if (!signal.aborted && !isWaymarkError(error, 'unavailable')) throw error;
        this.#turn('behind', messageOf(error));
        await this.#pause(this.#retryMs());
        this.#closing.signal.throwIfAborted();
      }
    }
  }

  async #watch(copy: MirrorCopy, signal: AbortSignal): Promise<void> {
    const options = { after: copy.revision, identity: this.#identity, signal };
    for await (const { revision, changes } of this.engine.watch([this.#range], options)) {
      const known = changes.map((change) => copy.take(change));
      copy.revision = Math.max(copy.revision, revision);
      this.#feed?.push({ revision: copy.revision, changes: known });
      refuseBeyond(copy, this.#copyBytesMax);
      this.#heard(`caught up to revision ${copy.revision}`);
    }
    throw new WaymarkError('unavailable', 'the watch of the mirror ended');
  }

  #heard(message: string): void {
    this.#failures = 0;
    this.#askAt = this.#clock.now() + quietMs;
    this.#turn('standing', message);
  }

  /** What stale reads may be answered from. */
  #current(): MirrorCopy | null {
    const copy = this.#copy;
    if (copy !== null && this.#clock.now() >= this.#askAt) this.#asking ??= this.#ask(copy);
    return this.#state === 'standing' ? copy : null;
  }

  /**
   * Asks whether anything happened in the range since the last batch: with no entry newer than that and as many keys as here, nothing
   * did, for what was deleted is missing, and what came in its place is newer. The copy is then true at the present.
   */
  async #ask(copy: MirrorCopy): Promise<void> {
    const { revision: from, keys } = copy;
    const newer = { ...this.#range, minModRevision: from + 1, limit: 1, keysOnly: true };
    try {
      const { entries, count, revision } = await super.read(newer, {
        signal: this.#closing.signal,
      });
      if (this.#copy !== copy || copy.revision !== from) return;
      if (entries.length === 0 && count === keys) {
        copy.revision = Math.max(from, revision);
        this.#feed?.push({ revision: copy.revision, changes: [] });
        this.#heard('nothing happened meanwhile');
        return;
      }
      this.#turn('behind', 'the engine has changes that its watch did not bring');
      this.#watching.abort();
    } catch (error) {
      if (this.#copy === copy && copy.revision === from) this.#turn('behind', messageOf(error));
    } finally {
      this.#asking = null;
      this.#askAt = Math.max(this.#askAt, this.#clock.now() + askAgainMs);
    }
  }

  #letGo(error: unknown): void {
    this.#copy = null;
    this.#feed?.letGo();
    this.#turn('let_go', messageOf(error));
  }

  #turn(state: MirrorState, message: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#told({ state, message });
  }

  #retryMs(): number {
    return retryMs[Math.min(this.#failures++, retryMs.length - 1)] as number;
  }

  async #pause(ms: number): Promise<void> {
    await pause(this.#clock, ms, this.#closing.signal).catch(() => undefined);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
