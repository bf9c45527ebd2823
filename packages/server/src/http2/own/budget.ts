import type { Clock } from 'waymark/engine';

/**
 * What a client may do that costs this side work and brings nothing: a burst, and so much a second from then on. The clock is read only
 * when the burst is used up.
 */
export class Budget {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #filledAt: number;
  exhausted = false;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#filledAt = clock.now();
  }

  spend(): void {
    if (--this.#left >= 0) return;
    const now = this.#clock.now();
    const earned = ((now - this.#filledAt) * this.#perSecond) / 1_000;
    this.#filledAt = now;
    this.#left = Math.min(this.#burst, this.#left + Math.floor(earned));
    if (this.#left < 0) this.exhausted = true;
  }

  /** For work that was asked for. */
  earn(): void {
    if (this.#left < this.#burst) this.#left += 4;
  }
}
