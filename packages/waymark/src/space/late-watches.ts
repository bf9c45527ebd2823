import type { Clock } from '../core/clock.js';

/** What is not over after a while. */
export interface Lasting {
  /** Starts what is worth its cost only now; not called for what is over. */
  startWatch(): void;
  readonly isOver: boolean;
}

/** Most locks are given back before, and cost no watch. */
const watchAfterMs = 10;

/** Starts the watches of holds that last: between one and two spans after they began, with one timer for all of them. */
export class LateWatches {
  readonly #clock: Clock;
  #young: Lasting[] = [];
  #old: Lasting[] = [];
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(lasting: Lasting): void {
    this.#young.push(lasting);
    if (!this.#armed) this.#arm();
  }

  #arm(): void {
    this.#armed = true;
    this.#clock.after(watchAfterMs, this.#tick);
  }

  readonly #tick = (): void => {
    this.#armed = false;
    const due = this.#old;
    this.#old = this.#young;
    this.#young = [];
    if (this.#old.length > 0) this.#arm();
    for (const lasting of due) if (!lasting.isOver) lasting.startWatch();
  };
}
