import type { Clock } from 'waymark/engine';
import type { CreateTransport } from '../transport.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { FieldsEncoder } from './fields-encoder.js';
import { type SilenceLimits, TimeLimits } from './time-limits.js';
import { Turn } from './turn.js';

/**
 * HTTP/2 by Waymark's own frames (RFC 9113, RFC 7541). Made for many small requests on few connections: what comes in one turn of the
 * event loop is answered with one write, and a request costs a stream object and little else.
 */
export const createOwnTransport: CreateTransport = (options) => {
  const { clock, accept, streamsMax = 1_000, fieldBytesMax = 65_536 } = options;
  const { pingAfterMs = 7_200_000, pingTimeoutMs = 20_000 } = options;
  const open = new OpenConnections(clock, { pingAfterMs, pingTimeoutMs });
  const connectionOptions: ConnectionOptions = {
    clock,
    accept,
    streamsMax,
    fieldBytesMax,
    encoder: new FieldsEncoder(),
    turn: new Turn(clock),
    refused: options.refused ?? (() => {}),
    gone: (connection) => open.remove(connection),
  };
  let draining = false;
  return {
    serve(socket) {
      const connection = new Connection(socket, connectionOptions);
      open.add(connection);
      connection.start();
      if (draining) connection.drain();
    },
    get connections() {
      return open.size;
    },
    async drain(graceMs) {
      draining = true;
      await open.drain(graceMs);
    },
  };
};

class OpenConnections {
  readonly #clock: Clock;
  readonly #silence: SilenceLimits;
  readonly #open = new Map<Connection, TimeLimits>();
  #looking = false;
  #whenGone: (() => void)[] = [];

  constructor(clock: Clock, silence: SilenceLimits) {
    this.#clock = clock;
    this.#silence = silence;
  }

  get size(): number {
    return this.#open.size;
  }

  add(connection: Connection): void {
    this.#open.set(connection, new TimeLimits(connection, this.#silence, this.#clock.now()));
    if (!this.#looking) this.#lookSoon();
  }

  remove(connection: Connection): void {
    this.#open.delete(connection);
    if (this.#open.size > 0) return;
    for (const tell of this.#whenGone) tell();
    this.#whenGone = [];
  }

  async drain(graceMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    const gone = new Promise<void>((resolve) => this.#whenGone.push(resolve));
    for (const connection of this.#open.keys()) connection.drain();
    const stop = this.#clock.after(graceMs, () => {
      for (const connection of this.#open.keys()) connection.destroy();
    });
    await gone;
    stop();
  }

  #lookSoon(): void {
    const { pingAfterMs, pingTimeoutMs } = this.#silence;
    const everyMs = Math.min(500, Math.min(pingAfterMs, pingTimeoutMs) / 4);
    this.#looking = true;
    this.#clock.after(everyMs, () => {
      const now = this.#clock.now();
      for (const limits of this.#open.values()) limits.check(now);
      this.#looking = false;
      if (this.#open.size > 0) this.#lookSoon();
    });
  }
}
