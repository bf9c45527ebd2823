import { type BatchSink, isDirect } from '../core/batch-sink.js';
import type { Batch } from '../core/engine.js';
import type { EventGroup, EventGroups } from './watch.js';
import type { WatchEvent } from './types.js';

type Step<T> = IteratorResult<WatchEvent<T>>;

/** Groups of events, one event at a time. A class and not a generator: what is at hand costs one promise. */
export class EventIterator<T> implements AsyncIterableIterator<WatchEvent<T>>, BatchSink {
  readonly #groups: EventGroups<T>;
  #events: readonly WatchEvent<T>[] = [];
  #at = 0;
  #pulling: Promise<Step<T>> | null = null;
  #left = false;
  #resolve: (step: Step<T> | Promise<Step<T>>) => void = () => {};

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
    if (batches !== null && isDirect(batches)) {
      const pulling = new Promise<Step<T>>((resolve) => (this.#resolve = resolve));
      this.#pulling = pulling;
      batches.pull(this);
      return pulling;
    }
    this.#pulling =
      batches === null
        ? this.#groups.next().then(this.#taken, this.#failed)
        : batches.next().then(this.#stepped, this.#broken);
    return this.#pulling;
  }

  batch(batch: Batch): void {
    const resolve = this.#resolve;
    try {
      resolve(this.#first(this.#groups.take(batch)));
    } catch (error) {
      resolve(this.#lost(Promise.reject(error as Error)));
    }
  }

  ended(): void {
    this.#resolve(this.#stepped({ value: undefined, done: true }));
  }

  failed(error: unknown): void {
    this.#resolve(this.#broken(error));
  }

  /** What a failure comes to: a group after all, or the end. */
  #lost(groups: Promise<IteratorResult<EventGroup<T>>>): Promise<Step<T>> {
    return groups.then(this.#taken, this.#failed);
  }

  /** The first of these events; when there is none, that of the next batch. */
  #first(events: readonly WatchEvent<T>[]): Step<T> | Promise<Step<T>> {
    this.#pulling = null;
    if (this.#left) return { value: undefined, done: true };
    const first = events[0];
    if (first === undefined) return this.#pull();
    this.#events = events;
    this.#at = 1;
    return { value: first, done: false };
  }

  readonly #stepped = (step: IteratorResult<Batch>): Step<T> | Promise<Step<T>> => {
    if (step.done === true) return this.#taken(this.#groups.told(step));
    try {
      return this.#first(this.#groups.take(step.value));
    } catch (error) {
      return this.#failed(error);
    }
  };

  readonly #broken = (error: unknown): Promise<Step<T>> => this.#lost(this.#groups.failed(error));

  readonly #taken = (step: IteratorResult<EventGroup<T>>): Step<T> | Promise<Step<T>> => {
    if (step.done !== true) return this.#first(step.value.events);
    this.#pulling = null;
    return { value: undefined, done: true };
  };

  readonly #failed = (error: unknown): Step<T> => {
    this.#pulling = null;
    if (this.#left) return { value: undefined, done: true };
    throw error;
  };
}
