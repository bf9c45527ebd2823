import { type Engine, isWaymarkError, type KeyRange, rangeContains } from 'waymark/engine';
import type { WatchRecord, WatchStream } from 'waymark/testing';
import { seenChange } from './watched-log.js';

/** The state that a watcher read when compaction had overtaken it. */
export interface Resync {
  readonly revision: number;
  readonly entries: readonly string[];
}

/**
 * Watches a range as an application does that must not miss anything: it resumes when the watch breaks, and when history is gone it
 * reads the present and watches on from there. All it met is kept for the rules of a watch.
 */
export class ResyncingWatcher {
  readonly streams: WatchStream[] = [];
  readonly resyncs: Resync[] = [];
  delivered = 0;
  resumed = 0;
  /** The revision up to which it has seen everything. */
  told: number;
  readonly #engine: Engine;
  readonly #range: KeyRange;
  readonly #between: () => Promise<void>;
  readonly #ended = new AbortController();
  #records: WatchRecord[] = [];

  /** @param options.between  awaited before each pull: what makes a watcher slow */
  constructor(
    engine: Engine,
    range: KeyRange,
    options: { readonly after: number; readonly between?: () => Promise<void> },
  ) {
    this.#engine = engine;
    this.#range = range;
    this.#between = options.between ?? (() => Promise.resolve());
    this.told = options.after;
    this.#begin(options.after);
  }

  readonly matches = (key: string): boolean => rangeContains(this.#range, key);

  /** Runs until `end`. */
  async run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#watch();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        if (isWaymarkError(error, 'compacted')) await this.#resync();
        else if (isWaymarkError(error, 'unavailable')) this.#resume();
        else throw error;
      }
    }
  }

  end(): void {
    this.#ended.abort();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    const options = { after: this.told, previous: true, signal };
    for await (const { revision, changes } of this.#engine.watch([this.#range], options)) {
      this.#records.push({ type: 'batch', revision, changes: changes.map(seenChange) });
      this.delivered += changes.length;
      this.told = revision;
      await this.#between();
    }
  }

  #resume(): void {
    this.resumed++;
    this.#records.push({ type: 'resumed', after: this.told });
  }

  async #resync(): Promise<void> {
    let reading = null;
    while (reading === null) {
      try {
        reading = await this.#engine.read(this.#range);
      } catch (error) {
        if (!isWaymarkError(error, 'unavailable')) throw error;
      }
    }
    const entries = reading.entries.map(({ key, modRevision }) => `${key}@${modRevision}`);
    this.resyncs.push({ revision: reading.revision, entries });
    this.told = reading.revision;
    this.#begin(reading.revision);
  }

  #begin(after: number): void {
    this.#records = [];
    this.streams.push({ after, records: this.#records, matches: this.matches });
  }
}
