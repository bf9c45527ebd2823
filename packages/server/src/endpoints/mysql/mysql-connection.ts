import type { Socket } from 'node:net';
import type { Connection, ConnectionOptions } from 'mysql2/promise';
import type { SqlConnection, SqlRow, SqlValue } from '../kit/sql.js';

/** Statements that a connection keeps prepared: a delivery of another length is another statement. */
const preparedMax = 16;
/** A server that does not answer a farewell is left. */
const farewellMs = 1_000;

/**
 * A session over mysql2. Values go to the server apart from the statement, so that nothing in them is read as SQL, whatever the server's mode. The socket
 * is ours: to end it is to end the session.
 */
export class MysqlConnection implements SqlConnection {
  readonly #connection: Connection;
  readonly #socket: Socket;
  #broken = false;
  /** The most that one packet may hold, in bytes. */
  packetBytesMax = 0;

  private constructor(connection: Connection, socket: Socket) {
    this.#connection = connection;
    this.#socket = socket;
    const broken = (): void => void (this.#broken = true);
    // What breaks between two statements fails the next one.
    connection.on('error', broken);
    socket.on('close', broken);
    socket.on('end', broken);
  }

  /** Logs in over a socket that is connected. */
  static async open(
    account: Pick<ConnectionOptions, 'host' | 'user' | 'password' | 'database' | 'ssl'>,
    socket: Socket,
    signal: AbortSignal,
  ): Promise<MysqlConnection> {
    const { createConnection } = await import('mysql2/promise');
    const abort = (): void => void socket.destroy();
    signal.addEventListener('abort', abort, { once: true });
    try {
      if (signal.aborted) abort();
      const connection = await createConnection({
        ...account,
        stream: socket,
        connectTimeout: 0,
        charset: 'utf8mb4_bin',
        flags: ['-LOCAL_FILES'],
        multipleStatements: false,
        rowsAsArray: true,
        supportBigNumbers: true,
        bigNumberStrings: true,
        maxPreparedStatements: preparedMax,
      });
      return new MysqlConnection(connection, socket);
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
    const { broken } = this;
    if (broken) throw new Error('the connection has ended');
    const [rows] =
      values.length === 0
        ? await this.#connection.query({ sql: text, rowsAsArray: true })
        : await this.#connection.execute({ sql: text, rowsAsArray: true }, [
            ...values,
          ] as SqlValue[]);
    return Array.isArray(rows) ? (rows as unknown as readonly SqlRow[]) : [];
  }

  destroy(): void {
    this.#broken = true;
    this.#socket.destroy();
  }

  close(): void {
    this.#broken = true;
    this.#socket.setTimeout(farewellMs, () => this.#socket.destroy());
    this.#connection.end().catch(() => undefined);
  }
}
