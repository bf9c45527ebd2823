import { type Clock, pause } from 'waymark/engine';
import type { StashStore } from './store.js';

/**
 * Takes back what is over (rule D4.5), a page at a time with a rest after each, so that nobody waits for it. An entry whose time is over gives its value back and
 * stays as a tombstone, as it would after a delete.
 */
export class Reaper {
  readonly #store: StashStore;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(store: StashStore, clock: Clock, everyMs = 1_000) {
    this.#store = store;
    this.#clock = clock;
    this.#running = this.#run(everyMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the reaper stops'));
    await this.#running;
  }

  async #run(everyMs: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const more = await this.#step().catch(() => false);
      await pause(this.#clock, more ? restMs : everyMs, signal).catch(() => undefined);
    }
  }

  async #step(): Promise<boolean> {
    this.#store.overdue.countTombstones();
    return this.#store.writable && (await this.#store.overdue.reap());
  }
}

const restMs = 10;
