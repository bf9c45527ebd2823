import type { Clock } from '../../core/clock.js';

export const pingMs = 5_000;
const deadMs = 15_000;

export interface PulseEvents {
  /** Another step has passed. */
  expire(tick: number): void;
  ping(): void;
  /** Nothing was heard for long, though it was asked. */
  dead(silentMs: number): void;
}

/** One timer for a whole connection: deadlines of calls, pings, and a peer that fell silent, on the monotonic clock. */
export class Pulse {
  /** Steps so far: a call notes it instead of reading the clock. */
  tick = 0;
  readonly #clock: Clock;
  readonly #events: PulseEvents;
  readonly #stepMs: number;
  #heardAt: number;
  #heard = false;
  #pingedAt: number;
  #steppedAt: number;
  #stop: () => void;

  constructor(clock: Clock, callTimeoutMs: number, events: PulseEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#stepMs = Math.max(10, Math.min(callTimeoutMs / 10, pingMs / 5));
    this.#heardAt = this.#pingedAt = this.#steppedAt = clock.now();
    this.#stop = clock.after(this.#stepMs, this.#step);
  }

  /** How many steps take at least so long. */
  ticksOf(ms: number): number {
    return Math.ceil(ms / this.#stepMs);
  }

  msOf(ticks: number): number {
    return ticks * this.#stepMs;
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heard = true;
  }

  stop(): void {
    this.#stop();
  }

  readonly #step = (): void => {
    this.#stop = this.#clock.after(this.#stepMs, this.#step);
    const now = this.#clock.now();
    // Where this process stood still, what the peer sent meanwhile is not read yet.
    const stoodStill = now - this.#steppedAt > deadMs / 2;
    if (this.#heard || stoodStill) this.#heardAt = now;
    this.#heard = false;
    this.#steppedAt = now;
    this.#events.expire(++this.tick);
    if (now - this.#heardAt > deadMs) {
      this.#heardAt = now;
      return this.#events.dead(deadMs);
    }
    if (now - this.#pingedAt < pingMs) return;
    this.#pingedAt = now;
    this.#events.ping();
  };
}
