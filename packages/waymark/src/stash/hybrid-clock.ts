import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';

/**
 * Stamps that order writes (rules D2.1 to D2.3): wall time where that goes on, and a counter where it does not, so that a stamp is higher than all that its clock gave or saw
 * before, however the clocks of the machines stand. Kulkarni and others, Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases (2014).
 */

/** A stamp is milliseconds times this, plus the counter: a safe integer for 270 000 years. */
export const stampsPerMs = 1_024;

/** What a node bears of others' clocks. */
export const skewMsMax = 500;

export class HybridClock {
  readonly #clock: Clock;
  /** Unix ms: an earlier life got so far. */
  readonly #from: number;
  #high: number;
  /** Where the next stamp goes on. */
  #last: number;
  #refused = 0;

  /** @param high  the highest stamp that an earlier life may have given or seen */
  constructor(clock: Clock, high = 0) {
    this.#clock = clock;
    this.#from = Math.floor(high / stampsPerMs);
    this.#high = high;
    this.#last = high;
  }

  /** The highest stamp that was given or seen. */
  get high(): number {
    return this.#high;
  }

  /** Below it is no next stamp: `high`, unless that was given back. */
  get last(): number {
    return this.#last;
  }

  /** Stamps that were too far ahead. */
  get refused(): number {
    return this.#refused;
  }

  /** @returns the first of so many stamps in a row */
  next(count = 1): number {
    const first = Math.max(this.#last + 1, Math.floor(this.#clock.wallNow()) * stampsPerMs);
    this.saw(first + count - 1);
    return first;
  }

  /** What a node holds is in the past of what is stamped from here on. */
  saw(stamp: number): void {
    if (stamp > this.#high) this.#high = stamp;
    if (stamp > this.#last) this.#last = stamp;
  }

  /**
   * Nodes refused a stamp as too far ahead: the wall was, and may be right again. What is given next goes on from the wall, lower than what was given before.
   *
   * @returns whether it does: then it is to be given as another writer's. False where it does since another refusal
   */
  giveBack(refused: number): boolean {
    if (this.#last < refused) return false;
    this.#last = 0;
    return true;
  }

  /**
   * For who takes stamps of others: as `saw`. Ahead of the wall, or of where an earlier life left off if the clock was set back since; never of what was admitted, or each stamp would drag the next along.
   *
   * @throws {WaymarkError} `invalid` for one too far ahead
   */
  admit(stamp: number): void {
    if (this.admits(stamp)) return;
    const now = this.#now();
    const aheadMs = Math.floor(stamp / stampsPerMs) - now;
    const times = `${instant(now + aheadMs)} there, ${instant(now)} here`;
    throw new WaymarkError(
      'invalid',
      `a write is stamped ${aheadMs} ms ahead of this node's clock (${times}): at most ${skewMsMax}, set the clocks right`,
    );
  }

  /** As `admit`. @returns whether it was, where others beside it are not to suffer */
  admits(stamp: number): boolean {
    const aheadMs = Math.floor(stamp / stampsPerMs) - this.#now();
    if (aheadMs > skewMsMax) {
      this.#refused++;
      return false;
    }
    this.saw(stamp);
    return true;
  }

  #now(): number {
    return Math.max(Math.floor(this.#clock.wallNow()), this.#from);
  }
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
