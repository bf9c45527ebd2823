import type { JoinedSignal } from '../core/joined-signal.js';

/**
 * A generator that waits, as an iterator that can be left at any time: a generator alone finishes its step before it returns, and what
 * it waits for may never come. Here `return()` settles the step that is under way, and ends what it waits for by a signal.
 *
 * @param join  asked at the first step for a signal that ends the iteration too; the step under way throws its reason
 */
export function leavable<T>(
  join: () => JoinedSignal,
  run: (ended: AbortSignal) => AsyncIterator<T, void>,
): AsyncIterableIterator<T> {
  return new Leavable(join, run);
}

class Leavable<T> implements AsyncIterableIterator<T> {
  readonly #join: () => JoinedSignal;
  readonly #run: (ended: AbortSignal) => AsyncIterator<T, void>;
  #ended: JoinedSignal | null = null;
  #steps: AsyncIterator<T, void> | null = null;
  #left = false;
  /** Settles the steps under way once it is left. */
  readonly #leaving: (() => void)[] = [];

  constructor(join: () => JoinedSignal, run: (ended: AbortSignal) => AsyncIterator<T, void>) {
    this.#join = join;
    this.#run = run;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#left) return Promise.resolve({ value: undefined, done: true });
    const steps = (this.#steps ??= this.#begin());
    return new Promise((resolve, reject) => {
      const leave = (): void => resolve({ value: undefined, done: true });
      this.#leaving.push(leave);
      const settled = (): void => void this.#leaving.splice(this.#leaving.indexOf(leave), 1);
      steps.next().then(
        (step) => {
          settled();
          if (step.done === true) this.#end();
          resolve(step as IteratorResult<T>);
        },
        (error: unknown) => {
          settled();
          this.#end();
          reject(error as Error);
        },
      );
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#end();
    for (const leave of this.#leaving) leave();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Who never begins leaves nothing behind. */
  #begin(): AsyncIterator<T, void> {
    this.#ended = this.#join();
    return this.#run(this.#ended.signal);
  }

  #end(): void {
    this.#left = true;
    this.#ended?.leave();
    this.#ended?.end();
  }
}
