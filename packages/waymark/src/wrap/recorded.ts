import type { Clock } from '../core/clock.js';
import type { Batch, Engine } from '../core/engine.js';
import { systemClock } from '../core/system-clock.js';
import { mapWatch } from './map-watch.js';

type Calls = Omit<Engine, typeof Symbol.asyncDispose | 'watch'>;

export type RecordedMethod = keyof Calls;

/** One line of a history. `call` ties an answer or a batch to its call; times are the clock's monotonic ones. */
export type RecordedEvent =
  | {
      readonly type: 'call';
      readonly call: number;
      readonly method: RecordedMethod | 'watch';
      readonly args: readonly unknown[];
      readonly atMs: number;
    }
  | {
      readonly type: 'answer';
      readonly call: number;
      readonly value: unknown;
      readonly atMs: number;
    }
  | {
      readonly type: 'failure';
      readonly call: number;
      readonly error: unknown;
      readonly atMs: number;
    }
  | { readonly type: 'batch'; readonly call: number; readonly batch: Batch; readonly atMs: number }
  /** A watch was left by its consumer. */
  | { readonly type: 'left'; readonly call: number; readonly atMs: number };

export interface RecordedOptions {
  readonly clock?: Clock | undefined;
}

/**
 * Tells `record` of every call and of every answer, failure and batch, as they happen: histories for a checker, counts for
 * a test. The order of the events is the order in which things happened here; a call without an answer has an unknown outcome.
 */
export function recorded(
  engine: Engine,
  record: (event: RecordedEvent) => void,
  options: RecordedOptions = {},
): Engine {
  const { clock = systemClock } = options;
  let calls = 0;

  async function note<T>(
    method: RecordedMethod,
    args: readonly unknown[],
    run: () => Promise<T>,
  ): Promise<T> {
    const call = calls++;
    record({ type: 'call', call, method, args, atMs: clock.now() });
    try {
      const value = await run();
      record({ type: 'answer', call, value, atMs: clock.now() });
      return value;
    } catch (error) {
      record({ type: 'failure', call, error, atMs: clock.now() });
      throw error;
    }
  }

  return {
    read: (...args) => note('read', args, () => engine.read(...args)),
    commit: (...args) => note('commit', args, () => engine.commit(...args)),
    grant: (...args) => note('grant', args, () => engine.grant(...args)),
    renew: (...args) => note('renew', args, () => engine.renew(...args)),
    revoke: (...args) => note('revoke', args, () => engine.revoke(...args)),
    lease: (...args) => note('lease', args, () => engine.lease(...args)),
    leases: (...args) => note('leases', args, () => engine.leases(...args)),
    compact: (...args) => note('compact', args, () => engine.compact(...args)),
    status: (...args) => note('status', args, () => engine.status(...args)),
    watch(...args) {
      const call = calls++;
      record({ type: 'call', call, method: 'watch', args, atMs: clock.now() });
      const watch = mapWatch(
        () => engine.watch(...args),
        (batch) => {
          record({ type: 'batch', call, batch, atMs: clock.now() });
          return batch;
        },
        (error) => {
          record({ type: 'failure', call, error, atMs: clock.now() });
          return error;
        },
      );
      const leave = watch.return?.bind(watch);
      watch.return = () => {
        record({ type: 'left', call, atMs: clock.now() });
        return leave === undefined ? Promise.resolve({ value: undefined, done: true }) : leave();
      };
      return watch;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(engine[Symbol.asyncDispose]()),
  };
}
