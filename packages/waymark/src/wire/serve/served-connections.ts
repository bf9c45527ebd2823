import type { Duplex } from 'node:stream';
import { ChangeCache } from './change-cache.js';
import { FlushQueue } from './flush-queue.js';
import type { ServeOptions } from './serve-options.js';
import { ServedConnection } from './served-connection.js';
import { overDuplex, type ServedStream } from './stream.js';

/** What holds of one connection alone. */
export type OwnOptions = Pick<ServeOptions, 'spend' | 'admit'>;

/** The binary protocol as one port serves it, with all its connections. */
export class ServedConnections {
  readonly #options: ServeOptions;
  readonly #open = new Set<ServedConnection>();

  constructor(options: Omit<ServeOptions, 'changes' | 'flushes'>) {
    const { clock } = options;
    this.#options = { ...options, changes: new ChangeCache(clock), flushes: new FlushQueue() };
  }

  get size(): number {
    return this.#open.size;
  }

  /** Serves a socket, the preface still to be read. @param own  instead of the port's */
  serve(socket: Duplex, own?: OwnOptions): ServedConnection {
    return this.begin(true, (connection) => overDuplex(socket, connection), own);
  }

  /** Serves a stream of another kind. */
  begin(
    prefaced: boolean,
    over: (connection: ServedConnection) => ServedStream,
    own: OwnOptions = {},
  ): ServedConnection {
    const { spend = this.#options.spend, admit = this.#options.admit } = own;
    const connection = new ServedConnection({ ...this.#options, spend, admit }, { prefaced });
    connection.start(over(connection));
    this.#open.add(connection);
    void connection.closed.then(() => this.#open.delete(connection));
    return connection;
  }

  /** Tells all clients to connect elsewhere, answers what is under way, and ends within `graceMs` (default 5 000). */
  async drain(graceMs = 5_000): Promise<void> {
    await Promise.all([...this.#open].map((connection) => connection.drain(graceMs)));
  }
}
