import type { EventGroup } from './watch.js';
import type { WatchEvent } from './types.js';

/**
 * Groups of events, one event at a time. A class and not a generator: what is at hand costs one promise, and leaving ends the
 * watch at once, where a generator would first wait for the event under way.
 */
export class EventIterator<T> implements AsyncIterableIterator<WatchEvent<T>> {
  readonly #groups: AsyncIterator<EventGroup<T>>;
  readonly #leave: () => void;
  #events: readonly WatchEvent<T>[] = [];
  #at = 0;
  #pulling: Promise<unknown> | null = null;
  #left = false;

  constructor(groups: AsyncIterator<EventGroup<T>>, leave: () => void) {
    this.#groups = groups;
    this.#leave = leave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchEvent<T>>> {
    const event = this.#events[this.#at];
    if (event !== undefined && !this.#left) {
      this.#at++;
      return Promise.resolve({ value: event, done: false });
    }
    if (this.#pulling !== null) return this.#pulling.then(() => this.next());
    const pulled = this.#pull();
    this.#pulling = pulled.then(
      () => (this.#pulling = null),
      () => (this.#pulling = null),
    );
    return pulled;
  }

  return(): Promise<IteratorResult<WatchEvent<T>>> {
    this.#left = true;
    this.#leave();
    return Promise.resolve({ value: undefined, done: true });
  }

  async #pull(): Promise<IteratorResult<WatchEvent<T>>> {
    try {
      while (!this.#left) {
        const step = await this.#groups.next();
        if (step.done === true) break;
        const [first] = step.value.events;
        if (first === undefined) continue;
        this.#events = step.value.events;
        this.#at = 1;
        return { value: first, done: false };
      }
    } catch (error) {
      if (!this.#left) throw error;
    }
    return { value: undefined, done: true };
  }
}
