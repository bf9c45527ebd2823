import { isIP } from 'node:net';
import type { EndpointTools } from '../endpoint.js';
import type { SharedConnection, Use } from '../kit/shared-connections.js';
import { refusalOf } from './failures.js';
import type { RedisPlace } from './place.js';

/** Idle connections are asked for a sign of life, so that a broken one is noticed before the next delivery. */
const pingMs = 15_000;
const silenceMs = 45_000;

export interface RedisConnection {
  readonly usable: boolean;
  /** @throws what the client throws; see failures.ts */
  command(words: readonly (string | Buffer)[]): Promise<unknown>;
  /** Lets deliveries under way end on it, and none begin. */
  retire(): void;
}

/** The connection that all endpoints of this server, account and database share. */
export function useConnection(place: RedisPlace, tools: EndpointTools): Use<RedisConnection> {
  const { scheme, host, port } = place.parts;
  const key = JSON.stringify([scheme, host, port, place.user, place.password, place.database]);
  return tools.connections.use(key, () => open(place, tools));
}

function open(place: RedisPlace, tools: EndpointTools): SharedConnection<RedisConnection> {
  const life = new Life();
  const connection = connect(place, tools, life);
  return {
    connection,
    dropped: connection.then(
      () => life.retired,
      () => undefined,
    ),
    close: async () => life.end(),
  };
}

/** A connection takes deliveries until it is retired, and ends when nobody uses it, or by itself. */
class Life {
  readonly #retiring = new AbortController();
  readonly #ending = new AbortController();
  readonly ended = this.#ending.signal;
  readonly retired = new Promise<void>((resolve) => {
    this.#retiring.signal.addEventListener('abort', () => resolve(), { once: true });
  });

  get serves(): boolean {
    return !this.#retiring.signal.aborted;
  }

  readonly retire = (): void => this.#retiring.abort();

  readonly end = (): void => {
    this.retire();
    this.#ending.abort();
  };
}

async function connect(
  place: RedisPlace,
  { dialer }: EndpointTools,
  life: Life,
): Promise<RedisConnection> {
  const { scheme, host, port } = place.parts;
  const { createClient } = await import('@redis/client');
  life.ended.throwIfAborted();
  // A literal is not looked up by Node, so it is checked here. Names are checked on the way.
  if (isIP(host) !== 0) await dialer.resolve(host, life.ended);
  const secured = { tls: true as const, ...(isIP(host) === 0 && { servername: host }) };
  const to = { host, port, lookup: dialer.lookup, autoSelectFamily: true, signal: life.ended };
  const common = { ...to, reconnectStrategy: false as const, socketTimeout: silenceMs };
  const client = createClient({
    ...credentials(place),
    database: place.database,
    socket: scheme === 'rediss' ? { ...common, ...secured } : common,
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    // A try has its own limit; one of the client's for each command costs more than the rest of it.
    commandOptions: { timeout: 0 },
    // Such a message names another address to connect to.
    maintNotifications: 'disabled',
    pingInterval: pingMs,
  });
  // What went wrong is told by what was under way.
  client.on('error', life.end).on('end', life.end).on('terminated', life.end);
  life.ended.addEventListener('abort', () => client.destroy(), { once: true });
  await client.connect().catch((error: unknown) => {
    life.end();
    throw error;
  });
  return {
    get usable() {
      return life.serves;
    },
    command: (words) => client.sendCommand(words),
    retire: life.retire,
  };
}

function credentials({ user, password }: RedisPlace) {
  return {
    ...(user !== '' && { username: user }),
    ...((user !== '' || password !== '') && { password }),
  };
}

/** EVALSHA; and EVAL once where the server does not know the script yet. */
export async function evaluate(
  connection: RedisConnection,
  { script, hash }: { readonly script: string; readonly hash: string },
  words: readonly (string | Buffer)[],
): Promise<unknown> {
  try {
    return await connection.command(['EVALSHA', hash, ...words]);
  } catch (error) {
    if (refusalOf(error) !== 'NOSCRIPT') throw error;
    return await connection.command(['EVAL', script, ...words]);
  }
}
