import type { Clock } from '../../../core/clock.js';
import { UnaryConnection, type UnaryConnectionOptions } from './unary-connection.js';

/** One that was not used for so long may have died unseen: it is given up. */
const idleMs = 10_000;
/** So long after one was opened the next may be. */
const againMs = 5_000;

/**
 * The connection to one member on which calls cost little, beside that of grpc-js, which takes whatever this one does not: while it is
 * being opened, when what is sent does not fit, and when it ends. So it is never waited for, and nothing fails for the want of it.
 */
export class QuickCalls {
  readonly #options: UnaryConnectionOptions;
  readonly #clock: Clock;
  #connection: UnaryConnection | null = null;
  #usedAt = 0;
  #openFrom = 0;

  constructor(options: UnaryConnectionOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** @param busy  so much is sent that a connection is worth it */
  take(bytes: number, busy: boolean): UnaryConnection | null {
    const now = this.#clock.now();
    const connection = this.#current(now);
    if (connection === null) {
      if (busy && now >= this.#openFrom) this.#open(now);
      return null;
    }
    if (!connection.takes(bytes)) return null;
    this.#usedAt = now;
    return connection;
  }

  close(): void {
    this.#openFrom = Infinity;
    this.#connection?.leave();
  }

  #current(now: number): UnaryConnection | null {
    const connection = this.#connection;
    if (connection === null) return null;
    if (now - this.#usedAt > idleMs) connection.leave();
    if (!connection.gone) return connection;
    if (connection.faulty) this.#openFrom = Infinity;
    return (this.#connection = null);
  }

  #open(now: number): void {
    this.#connection = new UnaryConnection(this.#options);
    this.#usedAt = now;
    this.#openFrom = now + againMs;
  }
}
