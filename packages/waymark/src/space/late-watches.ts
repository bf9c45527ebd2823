import type { Clock } from '../core/clock.js';

/** What is worth a watch once it lasts. */
export interface Lasting {
  startWatch(): void;
}

/** Most locks are given back before, and cost no watch. */
const watchAfterMs = 10;

/** Starts the watches of holds that last: between one and two spans after they began, with one timer for all of them. */
export class LateWatches {
  readonly #clock: Clock;
  #young = new Set<Lasting>();
  #old = new Set<Lasting>();
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(lasting: Lasting): void {
    this.#young.add(lasting);
    if (!this.#armed) this.#arm();
  }

  /** It is over: kept here it would be garbage that lives long enough to cost. */
  remove(lasting: Lasting): void {
    if (!this.#young.delete(lasting)) this.#old.delete(lasting);
  }

  #arm(): void {
    this.#armed = true;
    this.#clock.after(watchAfterMs, this.#tick);
  }

  readonly #tick = (): void => {
    this.#armed = false;
    const due = this.#old;
    this.#old = this.#young;
    this.#young = new Set();
    if (this.#old.size > 0) this.#arm();
    for (const lasting of due) lasting.startWatch();
  };
}
