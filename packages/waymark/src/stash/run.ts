import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import type { StashCall } from '../core/stash.js';

/** Something that is asked of several nodes at once. */
export interface Run<T> {
  readonly done: Promise<T>;
  /** Its time is over: it ends with what it knows. */
  late(): void;
  /** Nobody waits for it any more. */
  abandon(reason: unknown): void;
}

const deadlineMsDefault = 10_000;

/** Until when a call is to be answered, whatever it takes to. */
export class Deadline {
  readonly signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #at: number;

  /** @throws {WaymarkError} `invalid`; the signal's reason */
  constructor(clock: Clock, { deadlineMs = deadlineMsDefault, signal }: StashCall) {
    signal?.throwIfAborted();
    if (!(deadlineMs >= 1 && deadlineMs <= limits.deadlineMsMax)) {
      const why = `a deadline is 1 to ${limits.deadlineMsMax} ms from now`;
      throw new WaymarkError('invalid', why);
    }
    this.signal = signal;
    this.#clock = clock;
    this.#at = clock.now() + deadlineMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#at - this.#clock.now());
  }

  /** Ends the run when its time is over, or when the caller gives up. */
  async bound<T>(run: Run<T>): Promise<T> {
    const { signal } = this;
    const disarm = this.#clock.after(this.leftMs, () => run.late(), true);
    const aborted = (): void => run.abandon(signal?.reason);
    signal?.addEventListener('abort', aborted, { once: true });
    try {
      return await run.done;
    } finally {
      disarm();
      signal?.removeEventListener('abort', aborted);
    }
  }

  /** The same of what cannot be told to end: it goes on unheard. */
  async race<T>(work: Promise<T>, late: () => WaymarkError): Promise<T> {
    let reject = (_reason: unknown): void => {};
    const ended = new Promise<never>((_resolve, refuse) => (reject = refuse));
    const done = Promise.race([work, ended]);
    return await this.bound({ done, late: () => reject(late()), abandon: reject });
  }
}
