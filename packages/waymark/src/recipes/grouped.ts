import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';

/** One call that waits for its group. */
export interface Job<Args, Result> {
  readonly args: Args;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

export interface GroupedWork<Args, Result> {
  /** How many from the front of the queue, at least one, go into one group. */
  readonly fits: (queue: readonly Job<Args, Result>[]) => number;
  /** Settles every job of the group; those it leaves are rejected with what it throws. */
  readonly work: (path: string, group: readonly Job<Args, Result>[]) => Promise<void>;
}

const waitingMax = 10_000;

/**
 * Calls on one path that arrive while another is being committed go together into the next commit, in the order in which they came: a
 * hot path costs a commit a group instead of a lost race a call. An abort counts until the group is drawn; what is on its way
 * is answered.
 */
export class Grouped<Args, Result> {
  readonly #queues = new Map<string, Job<Args, Result>[]>();
  readonly #work: GroupedWork<Args, Result>;

  constructor(work: GroupedWork<Args, Result>) {
    this.#work = work;
  }

  /** @throws {WaymarkError} `overloaded` when 10 000 wait for the path already */
  async run(path: string, args: Args, options: CallOptions = {}): Promise<Result> {
    const { signal } = options;
    signal?.throwIfAborted();
    const queue = this.#queues.get(path);
    if (queue !== undefined && queue.length >= waitingMax) throw overloaded(path);
    return await new Promise((resolve, reject) => {
      const job = { args, signal, resolve, reject };
      if (queue !== undefined) queue.push(job);
      else void this.#drain(path, [job]);
    });
  }

  /** Never rejects: each failure is told to the calls it concerns. */
  async #drain(path: string, queue: Job<Args, Result>[]): Promise<void> {
    this.#queues.set(path, queue);
    while (queue.length > 0) {
      const drawn = queue.splice(0, this.#work.fits(queue));
      const group = drawn.filter(isWanted);
      try {
        if (group.length > 0) await this.#work.work(path, group);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#queues.delete(path);
  }
}

function isWanted<Args, Result>({ signal, reject }: Job<Args, Result>): boolean {
  if (signal?.aborted !== true) return true;
  reject(signal.reason);
  return false;
}

function overloaded(path: string): WaymarkError {
  const facts = { path, limit: 'waitingMax', max: waitingMax, retryAfterMs: 1_000 };
  return new WaymarkError('overloaded', `${waitingMax} calls wait for ${path} already`, facts);
}
