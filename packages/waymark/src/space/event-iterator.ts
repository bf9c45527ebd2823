import type { Batch } from '../core/engine.js';
import type { EventGroup, EventGroups } from './watch.js';
import type { WatchEvent } from './types.js';

type Step<T> = IteratorResult<WatchEvent<T>>;

/** Groups of events, one event at a time. A class and not a generator: what is at hand costs one promise. */
export class EventIterator<T> implements AsyncIterableIterator<WatchEvent<T>> {
  readonly #groups: EventGroups<T>;
  #events: readonly WatchEvent<T>[] = [];
  #at = 0;
  #pulling: Promise<Step<T>> | null = null;
  #left = false;

  constructor(groups: EventGroups<T>) {
    this.#groups = groups;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step<T>> {
    const event = this.#events[this.#at];
    if (event !== undefined && !this.#left) {
      this.#at++;
      return Promise.resolve({ value: event, done: false });
    }
    if (this.#pulling === null) return this.#pull();
    const again = (): Promise<Step<T>> => this.next();
    return this.#pulling.then(again, again);
  }

  return(): Promise<Step<T>> {
    this.#left = true;
    void this.#groups.return();
    return Promise.resolve({ value: undefined, done: true });
  }

  #pull(): Promise<Step<T>> {
    const { batches } = this.#groups;
    this.#pulling =
      batches === null
        ? this.#groups.next().then(this.#taken, this.#failed)
        : batches.next().then(this.#batch, this.#broken);
    return this.#pulling;
  }

  readonly #batch = (step: IteratorResult<Batch>): Step<T> | Promise<Step<T>> => {
    try {
      return this.#taken(this.#groups.told(step));
    } catch (error) {
      return this.#failed(error);
    }
  };

  readonly #broken = (error: unknown): Promise<Step<T>> =>
    this.#groups.failed(error).then(this.#taken, this.#failed);

  readonly #taken = (step: IteratorResult<EventGroup<T>>): Step<T> | Promise<Step<T>> => {
    this.#pulling = null;
    if (this.#left || step.done === true) return { value: undefined, done: true };
    const { events } = step.value;
    const [first] = events;
    if (first === undefined) return this.#pull();
    this.#events = events;
    this.#at = 1;
    return { value: first, done: false };
  };

  readonly #failed = (error: unknown): Step<T> => {
    this.#pulling = null;
    if (this.#left) return { value: undefined, done: true };
    throw error;
  };
}
