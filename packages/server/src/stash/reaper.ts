import { type Clock, pause } from 'waymark/engine';
import type { StashStore } from './store.js';

/**
 * Deletes in passing what is over (rule D4.5), a page at a time with a rest after each, so that nobody waits for it. An entry whose time is over gives its value back and
 * stays as a tombstone, as it would after a delete; a tombstone goes when no replica can bring back what it deleted.
 */
export class Reaper {
  readonly #store: StashStore;
  readonly #clock: Clock;
  /** Whether tombstones may go: every replica has them (rule D2.4). */
  readonly #confirmed: () => boolean;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    store: StashStore,
    clock: Clock,
    options: { readonly confirmed: () => boolean; readonly everyMs?: number | undefined },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#confirmed = options.confirmed;
    this.#running = this.#run(options.everyMs ?? 1_000);
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
    if (!this.#store.writable) return false;
    const expired = await this.#store.partitions.reap('e');
    const forgotten = this.#confirmed() && (await this.#store.partitions.reap('t'));
    return expired || forgotten;
  }
}

const restMs = 10;
