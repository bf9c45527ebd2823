import { AlikeTimer } from '../core/alike-timer.js';
import type { Clock } from '../core/clock.js';
import type {
  Batch,
  CallOptions,
  CommitOptions,
  Engine,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  Outcome,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
  WatchOptions,
} from '../core/engine.js';
import { settledValue } from '../core/settled.js';
import { ForwardingEngine } from './forward.js';
import { mapWatch } from './map-watch.js';

/** The calls of an engine whose ends are told. */
export type MeasuredCall = 'read' | 'commit' | 'grant' | 'renew' | 'revoke' | 'compact';

/** Who is told what an engine does. It is called within the engine's calls: it throws nothing and does little. */
export interface EngineMeter {
  /** @param tookMs  from the call to its answer. @param error  what it failed with; undefined: it did not */
  ended(call: MeasuredCall, tookMs: number, error?: unknown): void;
  /** A call that was answered at once, and was not timed: take it for as long as the last of its kind. */
  endedAlike(call: MeasuredCall): void;
  watchOpened(): void;
  watchClosed(): void;
  /** A batch was read from a watch; without changes it is a bookmark. */
  batch(changes: number): void;
}

/** An engine that tells how long its calls take and how they end. What is answered at once is still answered at once. Disposes what it wraps. */
export function measured(engine: Engine, clock: Clock, meter: EngineMeter): Engine {
  return new MeasuredEngine(engine, clock, meter);
}

class MeasuredEngine extends ForwardingEngine {
  readonly #timer: AlikeTimer;
  readonly #meter: EngineMeter;

  constructor(engine: Engine, clock: Clock, meter: EngineMeter) {
    super(engine);
    this.#timer = new AlikeTimer(clock);
    this.#meter = meter;
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    const began = this.#timer.begin();
    return this.#told('read', began, this.engine.read(query, options));
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const began = this.#timer.begin();
    return this.#told('commit', began, this.engine.commit(txn, options));
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#told('grant', this.#timer.beginTimed(), this.engine.grant(ttlMs, options));
  }

  override renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#told('renew', this.#timer.beginTimed(), this.engine.renew(id, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#told('revoke', this.#timer.beginTimed(), this.engine.revoke(id, options));
  }

  override compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#told('compact', this.#timer.beginTimed(), this.engine.compact(through, options));
  }

  override watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    const meter = this.#meter;
    const signal = options?.signal;
    let open = true;
    const over = (): void => {
      if (!open) return;
      open = false;
      signal?.removeEventListener('abort', over);
      meter.watchClosed();
    };
    const watch = mapWatch(
      () => this.engine.watch(ranges, options),
      (batch) => {
        meter.batch(batch.changes.length);
        return batch;
      },
      (error) => {
        over();
        return error;
      },
    );
    meter.watchOpened();
    // One that is aborted while nobody reads it is never read again.
    signal?.addEventListener('abort', over, { once: true });
    const leave = watch.return?.bind(watch);
    watch.return = async () => {
      over();
      return (await leave?.()) ?? { value: undefined, done: true };
    };
    return watch;
  }

  #told<T>(call: MeasuredCall, began: number, answer: Promise<T>): Promise<T> {
    if (settledValue(answer) === undefined) this.#await(call, this.#timer.underWay(began), answer);
    else this.#answered(call, this.#timer.answered(began));
    return answer;
  }

  #answered(call: MeasuredCall, tookMs: number | null): void {
    if (tookMs === null) this.#meter.endedAlike(call);
    else this.#meter.ended(call, tookMs);
  }

  #await(call: MeasuredCall, tookMs: () => number, answer: Promise<unknown>): void {
    answer.then(
      () => this.#meter.ended(call, tookMs()),
      (error: unknown) => this.#meter.ended(call, tookMs(), error),
    );
  }
}
