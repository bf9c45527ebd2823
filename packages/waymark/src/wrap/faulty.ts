import type { Clock } from '../core/clock.js';
import type {
  Batch,
  CallOptions,
  CommitOptions,
  Engine,
  EngineStatus,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
  WatchOptions,
} from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { systemClock } from '../core/system-clock.js';
import { ForwardingEngine } from './forward.js';
import { mapWatch } from './map-watch.js';

export interface FaultyOptions {
  /** Any whole number: the same seed and the same calls in the same order meet the same faults. */
  readonly seed: number;
  readonly clock?: Clock | undefined;
  /** Share of calls that are refused before anything was done. Default 0.05. */
  readonly unavailable?: number | undefined;
  /** Share of changing calls that are carried out and then answered `uncertain`. Default 0.05. */
  readonly uncertain?: number | undefined;
  /** Share of calls that are delayed, before or after they are carried out. Default 0.1. */
  readonly delayed?: number | undefined;
  /** Delays are uniform up to this. Default 20. */
  readonly delayMsMax?: number | undefined;
  /** Share of watches that break with `unavailable`. Default 0.5. */
  readonly broken?: number | undefined;
  /** A watch that breaks does so before its n-th batch, n uniform up to this. Default 8. */
  readonly batchesMax?: number | undefined;
}

interface Faults {
  readonly unavailable: boolean;
  readonly uncertain: boolean;
  readonly delayBeforeMs: number;
  readonly delayAfterMs: number;
}

/**
 * An engine that behaves as one at the far end of a bad network: late, refusing, leaving the outcome open, breaking its watches.
 * It keeps every rule (K11: `unavailable` was not applied, `uncertain` was), so whoever uses it must stay right. What a
 * call meets is drawn when it is made, in the order of the calls, so a run is repeated by its seed.
 */
export function faulty(engine: Engine, options: FaultyOptions): Engine {
  return new FaultyEngine(engine, options);
}

class FaultyEngine extends ForwardingEngine {
  readonly #options: Required<{ [K in keyof FaultyOptions]: NonNullable<FaultyOptions[K]> }>;
  readonly #draw: () => number;

  constructor(engine: Engine, options: FaultyOptions) {
    super(engine);
    this.#options = {
      seed: options.seed,
      clock: options.clock ?? systemClock,
      unavailable: options.unavailable ?? 0.05,
      uncertain: options.uncertain ?? 0.05,
      delayed: options.delayed ?? 0.1,
      delayMsMax: options.delayMsMax ?? 20,
      broken: options.broken ?? 0.5,
      batchesMax: options.batchesMax ?? 8,
    };
    this.#draw = mulberry32(options.seed);
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#call(false, () => super.read(query, options));
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.#call(true, () => super.commit(txn, options));
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#call(true, () => super.grant(ttlMs, options));
  }

  override renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#call(true, () => super.renew(id, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#call(true, () => super.revoke(id, options));
  }

  override lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#call(false, () => super.lease(id, options));
  }

  override leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.#call(false, () => super.leases(options));
  }

  override compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#call(true, () => super.compact(through, options));
  }

  override status(options?: CallOptions): Promise<EngineStatus> {
    return this.#call(false, () => super.status(options));
  }

  override watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    const breaks = this.#draw() < this.#options.broken;
    const drawn = Math.floor(this.#draw() * this.#options.batchesMax);
    let left = breaks ? drawn : Infinity;
    const inner = this.engine.watch(ranges, options);
    const watch = mapWatch(
      () => inner,
      (batch) => batch,
      (error) => error,
    );
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          if (left > 0) {
            left--;
            return watch.next();
          }
          await watch.return?.();
          throw new WaymarkError('unavailable', 'the watch broke: resume it after the last batch');
        },
        return: async () => {
          await watch.return?.();
          return { value: undefined, done: true };
        },
      }),
    };
  }

  /** @param changes  whether the call could leave a change behind, so that its outcome can be `uncertain` */
  async #call<T>(changes: boolean, run: () => Promise<T>): Promise<T> {
    const faults = this.#faults();
    if (faults.delayBeforeMs > 0) await this.#wait(faults.delayBeforeMs);
    if (faults.unavailable)
      throw new WaymarkError('unavailable', 'the request was not sent: try again');
    const value = await run();
    if (faults.delayAfterMs > 0) await this.#wait(faults.delayAfterMs);
    if (changes && faults.uncertain) {
      throw new WaymarkError(
        'uncertain',
        'the answer was lost: the request may have been carried out',
      );
    }
    return value;
  }

  /** Always four draws, so that one call's luck does not move the next one's. */
  #faults(): Faults {
    const { unavailable, uncertain, delayed, delayMsMax } = this.#options;
    const [refuse, lose, delay, length] = [this.#draw(), this.#draw(), this.#draw(), this.#draw()];
    const delayMs = delay < delayed ? length * delayMsMax : 0;
    const before = delay < delayed / 2;
    return {
      unavailable: refuse < unavailable,
      uncertain: lose < uncertain,
      delayBeforeMs: before ? delayMs : 0,
      delayAfterMs: before ? 0 : delayMs,
    };
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(delayMs, resolve));
  }
}

/** Tommy Ettinger's generator (public domain): 32 bits of state, good enough to choose faults, the same everywhere. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
