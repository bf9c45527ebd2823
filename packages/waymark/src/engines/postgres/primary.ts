import type { Client, ClientConfig, Pool, PoolClient } from 'pg';
import type { Clock } from '../../core/clock.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { pause } from '../../core/pause.js';
import type { Pg } from './pg.js';
import { toWaymarkError } from './postgres-errors.js';
import type { PostgresHost, PostgresTarget } from './postgres-url.js';

/** Who waits for a standby to be promoted asks so often. */
const againMs = 100;

/**
 * Connections to the primary, which of several hosts is the one that takes writes. A standby would answer reads with what is past, so each
 * new connection is asked what it leads to. Among several hosts all are asked at once, and again until one is the primary: who waits
 * longest is then the standby's promotion, and not the host that fell silent.
 */
export class Primary {
  readonly #pg: Pg;
  readonly #target: PostgresTarget;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #leaving = new Set<Promise<void>>();
  #located: Located | null = null;
  /** Where it was may be a standby by now, or gone. */
  #doubted = false;
  #search: Promise<Located> | null = null;

  constructor(pg: Pg, target: PostgresTarget, clock: Clock) {
    this.#pg = pg;
    this.#target = target;
    this.#clock = clock;
  }

  /** @throws {WaymarkError} `unavailable` when no host is the primary within the time of a call; what it refused */
  async connect(): Promise<PoolClient> {
    const until = this.#clock.now() + this.#target.timeoutMs;
    for (;;) {
      const located = await this.#locate();
      try {
        return await located.pool.connect();
      } catch (error) {
        const failure = toWaymarkError(error, 'nothing');
        const passing = isWaymarkError(failure, 'unavailable') && this.#clock.now() < until;
        if (!this.several || !passing || this.#ended.signal.aborted) throw failure;
        if (this.#located === located) this.#doubted = true;
      }
    }
  }

  /** One more connection to where it was last, still to be made. */
  newClient(): Client {
    const host = this.#located?.host ?? (this.#target.hosts[0] as PostgresHost);
    return new this.#pg.Client(this.#optionsOf(host));
  }

  /** A connection ended, or fell silent: the primary may be another by now. */
  doubt(): void {
    this.#doubted = this.several;
  }

  async close(): Promise<void> {
    this.#ended.abort(new WaymarkError('unavailable', 'the engine is closed'));
    await this.#search?.catch(() => {});
    await Promise.all([this.#located?.pool.end(), ...this.#leaving]);
  }

  /** Whether there are hosts to choose from. */
  get several(): boolean {
    return this.#target.hosts.length > 1;
  }

  async #locate(): Promise<Located> {
    if (this.#located !== null && !this.#doubted) return this.#located;
    if (!this.several) return this.#moveTo(this.#target.hosts[0] as PostgresHost);
    this.#search ??= this.#find().finally(() => (this.#search = null));
    return await this.#search;
  }

  async #find(): Promise<Located> {
    const { hosts, timeoutMs } = this.#target;
    const until = this.#clock.now() + timeoutMs;
    const found = new AbortController();
    const ended = AbortSignal.any([found.signal, this.#ended.signal]);
    try {
      const host = await Promise.any(hosts.map((one) => this.#ask(one, until, ended)));
      this.#ended.signal.throwIfAborted();
      return this.#moveTo(host);
    } catch (error) {
      this.#ended.signal.throwIfAborted();
      throw noPrimary((error as AggregateError).errors as WaymarkError[]);
    } finally {
      found.abort();
    }
  }

  /** Resolves once this host is the primary. */
  async #ask(host: PostgresHost, until: number, ended: AbortSignal): Promise<PostgresHost> {
    for (;;) {
      try {
        await this.#try(host);
        return host;
      } catch (error) {
        const failure = toWaymarkError(error, 'nothing');
        const passing = isWaymarkError(failure, 'unavailable');
        if (!passing || this.#clock.now() + againMs >= until) throw failure;
        await pause(this.#clock, againMs, ended, true);
      }
    }
  }

  async #try(host: PostgresHost): Promise<void> {
    const client = new this.#pg.Client(this.#optionsOf(host));
    client.on('error', () => {});
    try {
      await client.connect();
      await refuseStandby(client, host, this.#target);
    } catch (error) {
      throw named(host, error);
    } finally {
      void client.end().catch(() => {});
    }
  }

  #moveTo(host: PostgresHost): Located {
    this.#doubted = false;
    if (this.#located?.host === host) return this.#located;
    if (this.#located !== null) this.#leave(this.#located.pool);
    const pool = new this.#pg.Pool({
      ...this.#optionsOf(host),
      max: this.#target.poolMax,
      verify: (client, done) => void this.#verify(client, host, done),
    });
    // A connection that breaks between two statements fails the next one; nobody else need know.
    const ignore = (): void => {};
    pool.on('error', ignore);
    pool.on('connect', (client) => client.on('error', ignore));
    return (this.#located = { host, pool });
  }

  async #verify(
    client: PoolClient,
    host: PostgresHost,
    done: (error?: Error) => void,
  ): Promise<void> {
    let refusal: Error | undefined;
    try {
      await refuseStandby(client, host, this.#target);
    } catch (error) {
      refusal = error as Error;
    }
    done(refusal);
  }

  /** It ends when the calls on it have. */
  #leave(pool: Pool): void {
    const left = pool.end().finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  #optionsOf({ connectionString }: PostgresHost): ClientConfig {
    const { timeoutMs } = this.#target;
    // Where there are others, one that swallows connections leaves time for them.
    const connectionTimeoutMillis = this.several ? timeoutMs / 2 : timeoutMs;
    const options = { connectionString, keepAlive: true, application_name: 'waymark' };
    // Statements follow each other without waiting for answers; a connection on which one has none in time is destroyed.
    return { ...options, connectionTimeoutMillis, query_timeout: timeoutMs, pipeline: true };
  }
}

interface Located {
  readonly host: PostgresHost;
  readonly pool: Pool;
}

/** @throws {WaymarkError} `unavailable` when this is a connection to a standby, or to what else writes are refused by */
async function refuseStandby(
  client: Client | PoolClient,
  { name }: PostgresHost,
  { sessionAttributes }: PostgresTarget,
): Promise<void> {
  const text = `select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'`;
  const { rows } = await client.query<boolean[]>({ text, rowMode: 'array' });
  const [[standby, readOnly] = []] = rows;
  if (standby === true) throw new WaymarkError('unavailable', `PostgreSQL: ${name} is a standby`);
  if (readOnly === true && sessionAttributes === 'read-write')
    throw new WaymarkError('unavailable', `PostgreSQL: ${name} takes no writes`);
}

/** Says of which host it is told, for its own words may not. */
function named({ name }: PostgresHost, error: unknown): WaymarkError {
  if (error instanceof WaymarkError) return error;
  const { code, message, facts } = toWaymarkError(error, 'nothing');
  return new WaymarkError(code, `${message} (${name})`, facts, error);
}

/** A refusal tells more than that the other hosts are standbys. */
function noPrimary(errors: readonly WaymarkError[]): WaymarkError {
  const refusal = errors.find((error) => !isWaymarkError(error, 'unavailable'));
  if (refusal !== undefined) return refusal;
  const reasons = errors.map(({ message }) => message.replace(/^PostgreSQL: /, ''));
  const text = `PostgreSQL: no host is the primary: ${reasons.join('; ')}`;
  return new WaymarkError('unavailable', text, {}, errors[0]);
}
