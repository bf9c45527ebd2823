import type { Clock } from '../../core/clock.js';

interface Waiting {
  readonly delayMs: number;
  readonly task: () => void;
  cancel: () => void;
}

/**
 * A clock that stands still until `release`. A replay may take longer than a lease lives, and no lease may end before the
 * replay did: time begins when the engine serves, so every lease has its whole TTL again (K10).
 */
export class HeldClock implements Clock {
  readonly #clock: Clock;
  #heldAt: number | null;
  #behindMs = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#heldAt = clock.now();
  }

  now(): number {
    return this.#heldAt ?? this.#clock.now() - this.#behindMs;
  }

  wallNow(): number {
    return this.#clock.wallNow();
  }

  after(delayMs: number, task: () => void): () => void {
    if (this.#heldAt === null) return this.#clock.after(delayMs, task);
    const waiting: Waiting = { delayMs, task, cancel: () => void this.#waiting.delete(waiting) };
    this.#waiting.add(waiting);
    return () => waiting.cancel();
  }

  nextTurn(task: () => void): void {
    this.#clock.nextTurn(task);
  }

  release(): void {
    if (this.#heldAt === null) return;
    this.#behindMs = this.#clock.now() - this.#heldAt;
    this.#heldAt = null;
    for (const waiting of this.#waiting) {
      waiting.cancel = this.#clock.after(waiting.delayMs, waiting.task);
    }
    this.#waiting.clear();
  }
}
