import type { Clock } from '../core/clock.js';
import { nowhere, Slab } from '../core/slab.js';

/** What is worth a watch once it lasts. */
export interface Lasting {
  /** It gives up its place among those that may last. */
  startWatch(): void;
}

/** Most locks are given back before, and cost no watch. */
const watchAfterMs = 10;

/** Starts the watches of holds that last: between one and two spans after they began, with one timer for all of them. */
export class LateWatches {
  readonly #clock: Clock;
  readonly #young = new Slab<Lasting>();
  /** How many ticks there were before each came, by its place. */
  readonly #since: number[] = [];
  #ticks = 0;
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns its place */
  add(lasting: Lasting): number {
    const place = this.#young.add(lasting);
    this.#since[place] = this.#ticks;
    if (!this.#armed) this.#arm();
    return place;
  }

  /** It is over: kept here it would be garbage that lives long enough to cost. */
  remove(place: number): typeof nowhere {
    return this.#young.remove(place);
  }

  #arm(): void {
    this.#armed = true;
    this.#clock.after(watchAfterMs, this.#tick);
  }

  readonly #tick = (): void => {
    this.#armed = false;
    this.#ticks++;
    this.#young.forEach((lasting, place) => {
      if (this.#ticks - (this.#since[place] as number) > 1) lasting.startWatch();
    });
    if (this.#young.size > 0) this.#arm();
  };
}
