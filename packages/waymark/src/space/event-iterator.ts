import type { EventGroup } from './watch.js';
import type { WatchEvent } from './types.js';

/** Groups of events, one event at a time. A class and not a generator: what is at hand costs one promise. */
export class EventIterator<T> implements AsyncIterableIterator<WatchEvent<T>> {
  readonly #groups: AsyncIterableIterator<EventGroup<T>>;
  #events: readonly WatchEvent<T>[] = [];
  #at = 0;
  #pulling: Promise<IteratorResult<WatchEvent<T>>> | null = null;
  #left = false;

  constructor(groups: AsyncIterableIterator<EventGroup<T>>) {
    this.#groups = groups;
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
    if (this.#pulling === null) return this.#pull();
    const again = (): Promise<IteratorResult<WatchEvent<T>>> => this.next();
    return this.#pulling.then(again, again);
  }

  return(): Promise<IteratorResult<WatchEvent<T>>> {
    this.#left = true;
    void this.#groups.return?.();
    return Promise.resolve({ value: undefined, done: true });
  }

  #pull(): Promise<IteratorResult<WatchEvent<T>>> {
    this.#pulling = this.#groups.next().then(this.#taken, this.#failed);
    return this.#pulling;
  }

  readonly #taken = (
    step: IteratorResult<EventGroup<T>>,
  ): IteratorResult<WatchEvent<T>> | Promise<IteratorResult<WatchEvent<T>>> => {
    this.#pulling = null;
    if (this.#left || step.done === true) return { value: undefined, done: true };
    const { events } = step.value;
    const [first] = events;
    if (first === undefined) return this.#pull();
    this.#events = events;
    this.#at = 1;
    return { value: first, done: false };
  };

  readonly #failed = (error: unknown): IteratorResult<WatchEvent<T>> => {
    this.#pulling = null;
    if (this.#left) return { value: undefined, done: true };
    throw error;
  };
}
