import { isUtf8 } from 'node:buffer';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointSettings,
  type EndpointTools,
} from '../endpoint.js';
import { eventDocument } from './cloud-events.js';
import type { Use } from './shared-connections.js';
import type { SqlPlace } from './sql-place.js';
import { SqlPool } from './sql-pool.js';
import { prepareTables } from './sql-tables.js';
import type {
  DataForm,
  EventRow,
  SqlConnection,
  SqlDialect,
  SqlRow,
  SqlValue,
  TableFacts,
} from './sql.js';
import { fencesName, tableText } from './sql.js';
import { TrySignal } from './try-signal.js';

/** How often a delivery begins anew within one try, where the server undid it for the sake of others or had closed the connection meanwhile. */
const beginningsMax = 3;

interface SqlSinkParts {
  readonly dialect: SqlDialect;
  readonly place: SqlPlace;
  readonly settings: EndpointSettings;
}

/** Opens a table as an endpoint. Those of one database and account share their connections. */
export function openSqlSink(parts: SqlSinkParts, { connections }: EndpointTools): Endpoint {
  const { dialect, place } = parts;
  const { host, port, user, password } = place.parts;
  const key = [dialect.server, host, port, user, password, place.database, place.sslMode];
  const use = connections.use(JSON.stringify(key), () => {
    const pool = new SqlPool(dialect.connect);
    const close = async (): Promise<void> => pool.close();
    // Each of its connections is opened anew when it is needed: the pool itself never ends.
    return { connection: Promise.resolve(pool), dropped: new Promise(() => undefined), close };
  });
  return new SqlSink(parts, use);
}

/**
 * Events as rows, each exactly once. A delivery is one transaction: it locks the stream's row of fences, refuses a lower fence, leaves out the events that
 * the row says are there, inserts the others, and moves the row on. Whatever became of a COMMIT that was not answered, the next try reads it from that row; and while an
 * unanswered transaction is still open on the server, the next one waits for its lock.
 *
 * A unique key over the sequences would drop repeats as well, but a paused sender that wakes up could still write behind its successor: only the lock orders the two.
 */
class SqlSink implements Endpoint {
  readonly #parts: SqlSinkParts;
  readonly #use: Use<SqlPool>;
  readonly #statements: Readonly<Record<'lock' | 'move', string>>;
  readonly #tries = new TrySignal();
  #prepared: { readonly stream: string; readonly facts: TableFacts } | null = null;

  constructor(parts: SqlSinkParts, use: Use<SqlPool>) {
    this.#parts = parts;
    this.#use = use;
    const { dialect, place } = parts;
    const fences = tableText(dialect, { ...place.table, name: fencesName });
    const [stream, fence, sequence] = ['stream', 'fence', 'sequence'].map(dialect.quote);
    const [first, second, third] = [1, 2, 3].map(dialect.placeholder);
    this.#statements = {
      lock: `select ${fence}, ${sequence} from ${fences} where ${stream} = ${first} for update`,
      move: `update ${fences} set ${fence} = ${first}, ${sequence} = ${second} where ${stream} = ${third}`,
    };
  }

  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, (signal) => this.#deliver(delivery, signal));
  }

  async #deliver(delivery: Delivery, signal: AbortSignal): Promise<void> {
    for (let beginnings = 1; ; beginnings++) {
      const outcome = await this.#begin(delivery, signal);
      if (outcome === 'done') return;
      if (!outcome.passing || beginnings === beginningsMax) throw outcome.failure;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was closed'));
    await this.#use.leave();
  }

  async #begin(delivery: Delivery, signal: AbortSignal): Promise<'done' | Failed> {
    const { dialect } = this.#parts;
    const pool = await this.#use.connection;
    let taken: Awaited<ReturnType<SqlPool['take']>>;
    try {
      taken = await pool.take(signal);
    } catch (error) {
      return { failure: this.#failureOf(error, signal), passing: false };
    }
    const { connection, reused } = taken;
    const abort = (): void => connection.destroy();
    signal.addEventListener('abort', abort, { once: true });
    try {
      if (signal.aborted) abort();
      await this.#transact(connection, delivery);
      return 'done';
    } catch (error) {
      this.#prepared = null;
      const ended = connection.broken || dialect.isFarewell(error);
      const passing = dialect.isPassing(error) || (reused && ended);
      const failure = this.#failureOf(error, signal);
      // What is open on it ends with it.
      connection.destroy();
      return { failure, passing: passing && !signal.aborted };
    } finally {
      signal.removeEventListener('abort', abort);
      pool.give(connection);
    }
  }

  async #transact(connection: SqlConnection, delivery: Delivery): Promise<void> {
    const { dialect, place, settings } = this.#parts;
    const { stream, fence, events } = delivery;
    if (this.#prepared?.stream !== stream) {
      const facts = await prepareTables(connection, this.#parts, stream);
      this.#prepared = { stream, facts };
    }
    const { facts } = this.#prepared;
    await connection.run(dialect.begin);
    const [held] = await connection.run(this.#statements.lock, [stream]);
    const seen = seenOf(held, fence);
    const written = { dialect, format: settings.format, data: facts.data };
    const missing = events.filter(({ sequence }) => isNew(sequence, seen.sequence));
    const rows = missing.map((event) => rowOf(event, delivery, written));
    if (rows.length > 0) await dialect.insert(connection, place.table, facts, rows);
    const through = events.reduce(
      (last, { sequence }) => (sequence > last ? sequence : last),
      seen.sequence,
    );
    if (fence > seen.fence || through > seen.sequence) {
      await connection.run(this.#statements.move, [fence, through, stream]);
    }
    await connection.run('commit');
  }

  #failureOf(error: unknown, signal: AbortSignal): DeliveryFailure {
    const cause: unknown = signal.aborted ? signal.reason : error;
    if (cause instanceof DeliveryFailure) return cause;
    if (signal.aborted) return new DeliveryFailure('again', 'given up unanswered', { cause });
    const { dialect } = this.#parts;
    return new DeliveryFailure('again', `${dialect.server}: ${dialect.reasonOf(cause)}`, { cause });
  }
}

interface Failed {
  readonly failure: DeliveryFailure;
  /** Whether it goes better at once. */
  readonly passing: boolean;
}

function seenOf(
  held: SqlRow | undefined,
  fence: number,
): { readonly fence: number; readonly sequence: string } {
  if (held === undefined) {
    throw new DeliveryFailure('again', `${fencesName} has lost the row of this stream`);
  }
  const seen = { fence: Number(held[0]), sequence: String(held[1]) };
  if (fence >= seen.fence) return seen;
  throw new DeliveryFailure('superseded', `the table has seen fence ${seen.fence}`);
}

/** What has no sequence is outside the order: a probe. */
function isNew(sequence: string, last: string): boolean {
  return sequence === '' || sequence > last;
}

function rowOf(event: DeliveredEvent, delivery: Delivery, written: Written): EventRow {
  const { sequence, previous, id, kind, namespace, path, revision, watchers } = event;
  return [
    delivery.stream,
    sequence,
    previous,
    id,
    kind,
    namespace,
    path,
    revision,
    watchers.join(','),
    dataOf(event, delivery, written),
    event.state === true,
    event.replay === true,
    delivery.fence,
    delivery.attempt,
    written.dialect.timeOf(delivery.sentAt),
  ];
}

interface Written {
  readonly dialect: SqlDialect;
  readonly format: EndpointSettings['format'];
  readonly data: DataForm;
}

/** The document, or the value alone: as bytes or as text. */
function dataOf(event: DeliveredEvent, delivery: Delivery, { format, data }: Written): SqlValue {
  if (format === 'structured') {
    const document = eventDocument(delivery, event);
    return data === 'bytes' ? Buffer.from(document) : document;
  }
  const { value, path } = event;
  if (value === undefined) return null;
  if (data === 'bytes') return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (isUtf8(value)) return Buffer.from(value).toString();
  throw new DeliveryFailure(
    'again',
    `the column data holds text, and the value of ${path} is no UTF-8: let it hold bytes`,
  );
}
