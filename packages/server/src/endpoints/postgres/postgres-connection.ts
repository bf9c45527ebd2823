import { isIP, Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import type { Dialer } from '../kit/dialer.js';
import type { SqlPlace, SslMode } from '../kit/sql-place.js';
import type { SqlConnection, SqlRow } from '../kit/sql.js';

/** A server that does not answer a farewell is left. */
const farewellMs = 1_000;

/** A session over pg. The socket is ours: to end it is to end the session. */
export class PostgresConnection implements SqlConnection {
  readonly packetBytesMax = Infinity;
  readonly #client: Client;
  readonly #socket: Socket;
  #broken = false;

  private constructor(client: Client, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    const broken = (): void => void (this.#broken = true);
    client.on('error', broken);
    client.on('end', broken);
    socket.on('close', broken);
    socket.on('end', broken);
  }

  /** Looks the host up, connects to what was found, and logs in. */
  static async open(
    { parts, database, sslMode }: SqlPlace,
    dialer: Dialer,
    signal: AbortSignal,
  ): Promise<PostgresConnection> {
    const { host, port, user, password } = parts;
    const { default: pg } = await import('pg');
    const { address } = await dialer.resolve(host, signal);
    const socket = new Socket();
    const config = {
      host: address,
      port,
      user,
      // What is left open or empty here, pg takes from the environment and files of this process: they are for other servers.
      password: () => password,
      database,
      ssl: sslOf(sslMode, host),
      sslnegotiation: 'postgres',
      client_encoding: 'UTF8',
      application_name: 'waymark',
      stream: () => socket,
    };
    const client = new pg.Client(config as ClientConfig);
    // What breaks between two statements fails the next one.
    client.on('error', () => undefined);
    const abort = (): void => void socket.destroy();
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      await client.connect();
      return new PostgresConnection(client, socket);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  get broken(): boolean {
    return this.#broken || this.#socket.destroyed;
  }

  async run(
    text: string,
    values: Parameters<SqlConnection['run']>[1] = [],
  ): Promise<readonly SqlRow[]> {
    // Without values several statements go at once, and nothing is prepared.
    const query = values.length === 0 ? { text } : { text, values };
    const { rows } = await this.#client.query({
      ...query,
      rowMode: 'array',
    } as unknown as QueryArrayConfig);
    return rows ?? [];
  }

  destroy(): void {
    this.#broken = true;
    this.#socket.destroy();
  }

  close(): void {
    this.#broken = true;
    this.#socket.setTimeout(farewellMs, () => this.#socket.destroy());
    this.#client.end().catch(() => undefined);
  }
}

/** As libpq has it: `require` encrypts, and only what begins with `verify` checks who answers. */
function sslOf(mode: SslMode, host: string): ConnectionOptions | false {
  if (mode === 'disable') return false;
  const named = isIP(host) === 0 ? { servername: host } : {};
  if (mode === 'verify-full') return { ...named, rejectUnauthorized: true };
  const unnamed = { ...named, checkServerIdentity: () => undefined };
  return { ...unnamed, rejectUnauthorized: mode === 'verify-ca' };
}
