import type { Clock } from './clock.js';

/** Of calls that are answered at once, one is timed and so many that follow are taken to be like it: two looks at the clock cost a fifth of a put in memory. */
const alikeMax = 7;
const untimed = -1;

/** Times calls of which many are answered in the turn in which they are asked. */
export class AlikeTimer {
  readonly #clock: Clock;
  /** How many more are not timed. */
  #alike = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns when a call began that is hardly ever answered at once */
  beginTimed(): number {
    return this.#clock.now();
  }

  /** @returns when a call began that may be answered at once */
  begin(): number {
    return this.#alike > 0 ? untimed : this.#clock.now();
  }

  /** The call was answered. @returns what it took in ms; null: take it for as long as the last */
  answered(began: number): number | null {
    if (began === untimed) {
      this.#alike--;
      return null;
    }
    this.#alike = alikeMax;
    return this.#clock.now() - began;
  }

  /** The call is not answered yet. @returns tells what it took so far, in ms */
  underWay(began: number): () => number {
    this.#alike = 0;
    const since = began === untimed ? this.#clock.now() : began;
    return () => this.#clock.now() - since;
  }
}
