import type { PoolClient, QueryArrayConfig } from 'pg';
import type { Clock } from '../../core/clock.js';
import type { CallOptions } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { endsConnection, type Risk, toWaymarkError } from './postgres-errors.js';
import type { PostgresTarget } from './postgres-url.js';
import type { Primary } from './primary.js';
import { quoteName } from './schema-sql.js';
import { columnTypes, type Row } from './values.js';

/** Of a call's time so much may go by while it waits for others: it then ends as certainly not applied. */
const lockShare = 0.8;

/** The SQLSTATE of a warning without one of its own. */
const warningState = '01000';

/** A parameter as the driver takes it. */
export type Value = string | number | boolean | Buffer | null;

export interface Statement {
  readonly text: string;
  readonly values?: readonly Value[] | undefined;
}

export interface Transaction {
  query(text: string, values?: readonly Value[]): Promise<Row[]>;
  /** Several statements without parameters. */
  script(text: string): Promise<void>;
}

/** What a transaction came to, and the statement it ends with; `rollback` instead of a commit, when nothing was written. */
interface Finish<T> {
  readonly result: T;
  readonly last?: Statement | undefined;
  readonly rollback?: boolean | undefined;
}

/** The database of one schema: connections to its primary, on which every call has a deadline. */
export class Database {
  readonly schema: string;
  /** The schema's name, quoted. */
  readonly s: string;
  readonly timeoutMs: number;
  readonly #primary: Primary;
  readonly #clock: Clock;
  readonly #begin: string;
  readonly #beginAlone: string;

  constructor(primary: Primary, { schema, timeoutMs }: PostgresTarget, clock: Clock) {
    this.schema = schema;
    this.s = quoteName(schema);
    this.timeoutMs = timeoutMs;
    this.#clock = clock;
    // The server ends by itself what its client has left behind, so that a lost client does not hold the row of revisions.
    this.#begin = `begin isolation level read committed read write; set local statement_timeout = ${timeoutMs}; set local idle_in_transaction_session_timeout = ${timeoutMs}`;
    this.#beginAlone = `${this.#begin}; set local lock_timeout = ${Math.ceil(timeoutMs * lockShare)}`;
    this.#primary = primary;
  }

  /** A statement that changes nothing, or nothing that matters if it is done twice. */
  async read(text: string, values: readonly Value[], { signal }: CallOptions): Promise<Row[]> {
    const until = this.#clock.now() + this.timeoutMs;
    for (;;) {
      try {
        return await this.#call(signal, (client) => rowsOf(client, text, values));
      } catch (error) {
        // Its connection ended with the primary, and there may be another one.
        const again = this.#primary.several && isWaymarkError(error, 'unavailable');
        if (!again || !endsConnection(error.cause) || this.#clock.now() >= until) throw error;
      }
    }
  }

  /** A statement that is a transaction by itself. @throws {WaymarkError} `uncertain` when it may have been done */
  async write(text: string, values: readonly Value[], { signal }: CallOptions): Promise<Row[]> {
    return await this.#call(signal, async (client, took) => {
      took('everything');
      return await rowsOf(client, text, values);
    });
  }

  /**
   * Runs `work` in a transaction and commits it with the statement it ends with.
   *
   * @throws {WaymarkError} `uncertain` when COMMIT was sent and not answered; before that it is certainly not applied
   */
  async transaction<T>(
    { signal }: CallOptions,
    work: (tx: Transaction) => Promise<Finish<T>>,
  ): Promise<T> {
    return await this.#call(signal, async (client, took) => {
      // What follows is sent behind it, without waiting.
      const begun = client.query(this.#begin);
      begun.catch(() => {});
      const tx = {
        query: (text: string, values: readonly Value[] = []) => rowsOf(client, text, values),
        script: async (text: string) => void (await client.query(text)),
      };
      let finish: Finish<T>;
      try {
        finish = await work(tx);
        await begun;
      } catch (error) {
        await client.query('rollback').catch(() => {});
        throw error;
      }
      if (finish.rollback === true) {
        await client.query('rollback');
        return finish.result;
      }
      took('everything');
      await commit(client, finish.last);
      return finish.result;
    });
  }

  /**
   * A statement in a transaction, all of it in one go. What waits for a lock is ended by the server while there is an answer to wait for.
   *
   * @throws {WaymarkError} `uncertain` when it was sent and not answered
   */
  async alone({ text, values }: Statement): Promise<Row[]> {
    return await this.#call(undefined, async (client, took) => {
      took('everything');
      const begun = client.query(this.#beginAlone);
      begun.catch(() => {});
      return await commit(client, { text, values });
    });
  }

  async close(): Promise<void> {
    await this.#primary.close();
  }

  async #call<T>(signal: AbortSignal | undefined, work: Work<T>): Promise<T> {
    signal?.throwIfAborted();
    if (signal === undefined) return await this.#run(work, { risk: 'nothing' });
    const state: { risk: Risk } = { risk: 'nothing' };
    return await new Promise((resolve, reject) => {
      const abort = (): void => reject(abortedError(state.risk, signal.reason));
      signal.addEventListener('abort', abort, { once: true });
      void this.#run(work, state)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', abort));
    });
  }

  /** Takes a connection, and gives it back; one that did not answer in time is destroyed. */
  async #run<T>(work: Work<T>, state: { risk: Risk }): Promise<T> {
    const since = this.#clock.now();
    const client = await this.#primary.connect();
    let release = (error?: Error): void => {
      release = () => {};
      client.release(error);
    };
    const leftMs = this.timeoutMs - (this.#clock.now() - since);
    let cancel = (): void => {};
    // What hangs on the connection may do so for as long as the network is silent.
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(leftMs, () => {
        const error = new Error(`no answer within ${this.timeoutMs} ms`);
        release(error);
        reject(error);
      });
    });
    const notices: Notice[] = [];
    const noticed = (notice: Notice): void => void notices.push(notice);
    client.on('notice', noticed);
    try {
      const result = await Promise.race([late, work(client, (risk) => (state.risk = risk))]);
      if (state.risk === 'everything') refuseUnconfirmed(notices);
      return result;
    } catch (error) {
      if (endsConnection(error)) this.#primary.doubt();
      throw toWaymarkError(error, state.risk);
    } finally {
      cancel();
      client.off('notice', noticed);
      release();
    }
  }
}

interface Notice {
  readonly code: string | undefined;
  readonly message: string | undefined;
}

type Work<T> = (client: PoolClient, took: (risk: Risk) => void) => Promise<T>;

function abortedError(risk: Risk, reason: unknown): unknown {
  if (risk === 'nothing') return reason;
  const text = 'given up while PostgreSQL had it: it may have been applied';
  return new WaymarkError('uncertain', text, {}, reason);
}

/**
 * A COMMIT whose wait for a synchronous standby was cut short, by pg_cancel_backend, is answered all the same, with a warning: it is
 * on the primary, and may be lost with it.
 *
 * @throws {WaymarkError} `uncertain`
 */
function refuseUnconfirmed(notices: readonly Notice[]): void {
  const warning = notices.find(({ code }) => code === warningState);
  if (warning === undefined) return;
  const text = `PostgreSQL may not keep it: ${warning.message ?? ''}`;
  throw new WaymarkError('uncertain', text, {}, warning);
}

async function rowsOf(client: PoolClient, text: string, values: readonly Value[]): Promise<Row[]> {
  const query = { text, values: values as Value[], rowMode: 'array', types: columnTypes };
  const { rows } = await client.query(query as unknown as QueryArrayConfig);
  return rows as Row[];
}

/** The last statement and COMMIT in one go. An error of the first makes the second a rollback. */
async function commit(client: PoolClient, last: Statement | undefined): Promise<Row[]> {
  const done = last === undefined ? undefined : rowsOf(client, last.text, last.values ?? []);
  const committed = client.query('commit');
  committed.catch(() => {});
  const rows = await done;
  const { command } = await committed;
  if (command !== 'COMMIT') {
    throw new WaymarkError('unavailable', 'PostgreSQL: the transaction was rolled back');
  }
  return rows ?? [];
}
