import { type BatchSink, pull } from '../core/batch-sink.js';
import type { Clock } from '../core/clock.js';
import type { Batch } from '../core/engine.js';
import type { WatchEvent } from './types.js';
import type { EventGroups } from './watch.js';

/** Whoever leaves a crowd takes a copy of what it has seen along: only those that saw few keys share. */
const keysMax = 1_024;

type Step<T> = IteratorResult<WatchEvent<T>>;

/** One of a crowd. It waits at most once at a time. */
export interface CrowdMember<T> {
  /** @param first  the step of the first event, the same for all of them */
  give(events: readonly WatchEvent<T>[], first: Step<T>): void;
  ended(): void;
  lose(error: unknown): void;
  /** It goes on by itself from where the crowd stands. */
  part(groups: EventGroups<T>): void;
}

/** The crowds of a view, by what they watch. */
export class Crowds<T> {
  readonly #clock: Clock;
  readonly #crowds = new Map<string, Crowd<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Joins the crowd that watches the same and stands at the same revision, or begins one.
   *
   * @param groups  the member's own watch, which has told its snapshot and is waited for by nobody; ended when the crowd's does for it
   * @returns null while there is none to join
   */
  join(key: string, member: CrowdMember<T>, groups: EventGroups<T>): Crowd<T> | null {
    const { batches } = groups;
    if (batches === null || groups.keysSeen > keysMax) return null;
    let crowd = this.#crowds.get(key);
    if (crowd === undefined) {
      crowd = new Crowd(groups, this.#clock, () => this.#crowds.delete(key));
      this.#crowds.set(key, crowd);
    } else {
      if (!crowd.meets(groups)) return null;
      void groups.return();
    }
    crowd.add(member);
    return crowd;
  }
}

/**
 * Iterators that watch the same, over one watch: they stand at one revision and have seen the same, so a batch is worked out once and
 * costs each of them its promise alone. Nothing is kept for one that is slower: when a batch comes that it does not wait for, it parts,
 * and may join again once it has caught up.
 */
export class Crowd<T> implements BatchSink {
  readonly #groups: EventGroups<T>;
  readonly #clock: Clock;
  readonly #over: () => void;
  readonly #members = new Set<CrowdMember<T>>();
  #waiting: CrowdMember<T>[] = [];
  /** What those who wait together wait for, once somebody does. */
  #round: Round<T> | null = null;
  #state: 'idle' | 'wanted' | 'pulling' | 'recovering' | 'over' = 'idle';
  #scheduled = false;
  /** While members are given events some wait again at once: what comes next is asked for when all have been. */
  #giving = false;
  /** A watch may hand over what it has while it is asked: then it is asked again from here, and not from in there. */
  #asking = false;

  constructor(groups: EventGroups<T>, clock: Clock, over: () => void) {
    this.#groups = groups;
    this.#clock = clock;
    this.#over = over;
  }

  /** Whether a watch with this state can be given up for the crowd's. */
  meets(groups: EventGroups<T>): boolean {
    const open = this.#state === 'idle' || this.#state === 'pulling';
    return open && this.#groups.standsWith(groups);
  }

  add(member: CrowdMember<T>): void {
    this.#members.add(member);
  }

  leave(member: CrowdMember<T>): void {
    if (!this.#members.delete(member)) return;
    this.#waiting = this.#waiting.filter((other) => other !== member);
    if (this.#members.size > 0) return this.#arm();
    this.#end()?.resolve(done);
    void this.#groups.return();
  }

  /** One promise of the next step for all who are content with that: `wait` says who is. */
  together(): Promise<Step<T>> {
    return (this.#round ??= begin<T>()).promise;
  }

  wait(member: CrowdMember<T>): void {
    this.#waiting.push(member);
    this.#arm();
  }

  batch(batch: Batch): void {
    // All have left since it was asked for.
    if (this.#state === 'over') return;
    this.#state = 'idle';
    if (batch.changes.length > 0) this.#partFromLate();
    let events: readonly WatchEvent<T>[];
    try {
      events = this.#groups.take(batch);
    } catch (error) {
      return this.#lose(error);
    }
    this.#give(events);
  }

  ended(): void {
    if (this.#state === 'over') return;
    void this.#groups.return();
    const waiting = this.#waiting;
    this.#partFromLate();
    const round = this.#end();
    for (const member of waiting) member.ended();
    round?.resolve(done);
  }

  failed(error: unknown): void {
    if (this.#state === 'over') return;
    this.#state = 'recovering';
    this.#partFromLate();
    this.#groups.failed(error).then(
      (step) => {
        if (this.#state === 'over') return;
        if (step.done === true) return this.ended();
        this.#state = 'idle';
        this.#give(step.value.events);
      },
      (final: unknown) => this.#lose(final),
    );
  }

  /** When all wait, the next batch is asked for at once; else those that still work on the last one have until the next turn of the loop. */
  #arm(): void {
    if (this.#state !== 'idle' || this.#giving || this.#waiting.length === 0) return;
    if (this.#waiting.length === this.#members.size) return this.#pull();
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.nextTurn(() => {
      this.#scheduled = false;
      if (this.#state === 'idle' && this.#waiting.length > 0) this.#pull();
    });
  }

  #pull(): void {
    this.#state = 'wanted';
    if (this.#asking) return;
    this.#asking = true;
    while (this.#state === 'wanted') {
      this.#state = 'pulling';
      const { batches } = this.#groups;
      if (batches === null) this.ended();
      else pull(batches, this);
    }
    this.#asking = false;
  }

  #give(events: readonly WatchEvent<T>[]): void {
    const [event] = events;
    if (event === undefined) return this.#arm();
    const first = Object.freeze({ value: event, done: false as const });
    const waiting = this.#waiting;
    const round = this.#round;
    this.#waiting = [];
    this.#round = null;
    this.#giving = true;
    for (const member of waiting) member.give(events, first);
    this.#giving = false;
    round?.resolve(first);
    this.#arm();
  }

  #partFromLate(): void {
    if (this.#waiting.length === this.#members.size) return;
    const waiting = new Set(this.#waiting);
    for (const member of this.#members) {
      if (waiting.has(member)) continue;
      this.#members.delete(member);
      member.part(this.#groups.fork());
    }
  }

  #lose(error: unknown): void {
    if (this.#state === 'over') return;
    const waiting = this.#waiting;
    const round = this.#end();
    for (const member of waiting) member.lose(error);
    round?.reject(error);
  }

  #end(): Round<T> | null {
    const round = this.#round;
    this.#state = 'over';
    this.#members.clear();
    this.#waiting = [];
    this.#round = null;
    this.#over();
    return round;
  }
}

interface Round<T> {
  readonly promise: Promise<Step<T>>;
  readonly resolve: (step: Step<T>) => void;
  readonly reject: (error: unknown) => void;
}

const done = Object.freeze({ value: undefined, done: true as const });

function begin<T>(): Round<T> {
  let resolve!: Round<T>['resolve'];
  let reject!: Round<T>['reject'];
  const promise = new Promise<Step<T>>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
