import type { SqlConnection } from './sql.js';

/** Connections to one database with one account, at once. */
const openMax = 8;

interface Taken {
  readonly connection: SqlConnection;
  /** It served others before, and may have ended meanwhile. */
  readonly reused: boolean;
}

/** The connections of all endpoints that are tables of one database. A delivery has one to itself. */
export class SqlPool {
  readonly #connect: (signal: AbortSignal) => Promise<SqlConnection>;
  readonly #idle: SqlConnection[] = [];
  readonly #waiting = new Set<() => void>();
  #taken = 0;
  #closed = false;

  constructor(connect: (signal: AbortSignal) => Promise<SqlConnection>) {
    this.#connect = connect;
  }

  /** @throws the signal's reason when it aborts before one is free */
  async take(signal: AbortSignal): Promise<Taken> {
    signal.throwIfAborted();
    while (this.#taken >= openMax) await this.#turn(signal);
    this.#taken += 1;
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.broken) return { connection: idle, reused: true };
    }
    try {
      return { connection: await this.#connect(signal), reused: false };
    } catch (error) {
      this.#left();
      throw error;
    }
  }

  /** Gives it back. One that was destroyed is forgotten. */
  give(connection: SqlConnection): void {
    if (!connection.broken) {
      if (this.#closed) connection.close();
      else this.#idle.push(connection);
    }
    this.#left();
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  #left(): void {
    this.#taken -= 1;
    const [next] = this.#waiting;
    next?.();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const woken = (): void => {
        this.#waiting.delete(woken);
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.delete(woken);
        reject(signal.reason as Error);
      };
      this.#waiting.add(woken);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
