import { type BatchSink, pull } from '../core/batch-sink.js';
import type { Batch } from '../core/engine.js';
import type { EventGroup, EventGroups } from './watch.js';
import type { Crowd, CrowdMember } from './crowd.js';
import type { Watch, WatchEvent } from './types.js';
import type { WatchParts } from './watch-events.js';

type Step<T> = IteratorResult<WatchEvent<T>>;

/** Groups of events, one event at a time. A class and not a generator: what is at hand costs one promise. */
export class EventIterator<T> implements Watch<T>, BatchSink, CrowdMember<T> {
  #groups: EventGroups<T>;
  readonly #crowds: WatchParts<T>['crowds'];
  /** Those it waits with, over one watch; then `#groups` is not its own. */
  #crowd: Crowd<T> | null = null;
  #events: readonly WatchEvent<T>[] = [];
  #at = 0;
  #pulling: Promise<Step<T>> | null = null;
  #left = false;
  /**
   * A loop asks for one step after the other and leaves only between them, so it can share its promise with the others of its crowd;
   * who calls `next` by hand has one of its own, which leaving settles.
   */
  #looped = false;
  /** Told each event by `forEach`. */
  #each: ((event: WatchEvent<T>) => unknown) | null = null;
  /** Settles the promise that is this iterator's own; null while it waits for a shared one. */
  #resolve: ((step: Step<T> | Promise<Step<T>>) => void) | null = null;

  constructor(groups: EventGroups<T>, crowds: WatchParts<T>['crowds']) {
    this.#groups = groups;
    this.#crowds = crowds;
  }

  [Symbol.asyncIterator](): this {
    this.#looped = true;
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
    if (this.#left) return Promise.resolve({ value: undefined, done: true });
    this.#left = true;
    if (this.#crowd === null) void this.#groups.return();
    else {
      this.#crowd.leave(this);
      this.ended();
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  async forEach(each: (event: WatchEvent<T>) => unknown): Promise<void> {
    this.#each = each;
    try {
      for (;;) {
        const { value, done } = await this.next();
        if (done === true) return;
        const told = each(value);
        if (isThenable(told)) await told;
      }
    } finally {
      this.#each = null;
      void this.return();
    }
  }

  #pull(): Promise<Step<T>> {
    if (this.#left) return Promise.resolve({ value: undefined, done: true });
    const { batches } = this.#groups;
    this.#crowd ??= this.#crowds?.of.join(this.#crowds.key, this, this.#groups) ?? null;
    if (this.#crowd === null && batches === null) {
      this.#pulling = this.#groups.next().then(this.#taken, this.#failed);
      return this.#pulling;
    }
    const crowd = this.#crowd;
    this.#resolve = null;
    const pulling =
      crowd !== null && this.#looped && this.#each === null
        ? crowd.together()
        : new Promise<Step<T>>((resolve) => (this.#resolve = resolve));
    this.#pulling = pulling;
    if (crowd !== null) crowd.wait(this);
    else if (batches !== null) pull(batches, this);
    return pulling;
  }

  give(events: readonly WatchEvent<T>[], first: Step<T>): void {
    if (this.#each !== null) return this.#tell(this.#each, events);
    this.#pulling = null;
    this.#events = events;
    this.#at = 1;
    this.#resolve?.(first);
  }

  /** Without a promise: the loop of `forEach` goes on waiting for its step, unless there is something for it to wait for. */
  #tell(each: (event: WatchEvent<T>) => unknown, events: readonly WatchEvent<T>[]): void {
    for (let at = 0; at < events.length && !this.#left; at++) {
      let told: unknown;
      try {
        told = each(events[at] as WatchEvent<T>);
      } catch (error) {
        told = Promise.reject(error as Error);
      }
      if (!isThenable(told)) continue;
      this.#pulling = null;
      this.#events = events;
      this.#at = at + 1;
      return this.#resolve?.(told.then(() => this.next()));
    }
    if (!this.#left) this.#crowd?.wait(this);
  }

  lose(error: unknown): void {
    this.#crowd = null;
    this.#pulling = null;
    this.#resolve?.(Promise.reject(error as Error));
  }

  part(groups: EventGroups<T>): void {
    this.#crowd = null;
    this.#groups = groups;
  }

  batch(batch: Batch): void {
    const resolve = this.#resolve;
    try {
      resolve?.(this.#first(this.#groups.take(batch)));
    } catch (error) {
      resolve?.(this.#lost(Promise.reject(error as Error)));
    }
  }

  ended(): void {
    if (this.#crowd === null) void this.#groups.return();
    this.#crowd = null;
    this.#pulling = null;
    this.#resolve?.({ value: undefined, done: true });
  }

  failed(error: unknown): void {
    this.#resolve?.(this.#lost(this.#groups.failed(error)));
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

function isThenable(told: unknown): told is Promise<unknown> {
  return typeof told === 'object' && told !== null && 'then' in told;
}
