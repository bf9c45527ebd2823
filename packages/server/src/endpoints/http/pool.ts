import type { Socket } from 'node:net';
import { callbackify } from 'node:util';
import type { buildConnector, Client } from 'undici';
import type { EndpointTools, Target } from '../endpoint.js';
import type { SharedConnection } from '../kit/shared-connections.js';

/**
 * Connections of one origin that are kept alive. Each carries one request at a time, so they are never more than its endpoints. undici's own pool gives a connection
 * to the next request a turn after its last answer, and the connection takes another turn before it writes: here the one after the answer is the only one.
 */
export interface HttpPool {
  /** The one that was given back last, or another one. It connects by itself, whenever it has to. */
  take(): Client;
  /** After its exchange: the next one may take it. */
  give(client: Client): void;
  /** In place of giving it back: what it does is broken off. */
  drop(client: Client): void;
  /** Connections made so far. */
  readonly connects: () => number;
}

/** A place that cannot be reached takes no longer to be told so. */
const connectMs = 10_000;

export function openPool(
  { host, port }: Target,
  secure: boolean,
  tools: Pick<EndpointTools, 'dialer'>,
): SharedConnection<HttpPool> {
  const closing = new AbortController();
  const all = new Set<Client>();
  let connects = 0;
  const dial = async (): Promise<Socket> => {
    connects += 1;
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(connectMs)]);
    const tls = secure ? { tls: { servername: host } } : {};
    const socket = await tools.dialer.connect({ host, port, ...tls }, signal);
    return socket.setNoDelay(true);
  };
  const connect: buildConnector.connector = (_options, done) =>
    callbackify(dial)((error, socket) => (error === null ? done(null, socket) : done(error, null)));
  const drop = (client: Client): void => {
    all.delete(client);
    client.destroy().catch(() => undefined);
  };
  const name = host.includes(':') ? `[${host}]` : host;
  const open = async (): Promise<HttpPool> => {
    // Loaded when it is needed: it takes longer than most commands.
    const undici = await import('undici');
    const origin = `${secure ? 'https' : 'http'}://${name}:${port}`;
    // The signal of a try is its limit.
    const options = { connect, pipelining: 1, headersTimeout: 0 };
    const free: Client[] = [];
    const another = (): Client => {
      const client = new undici.Client(origin, options);
      all.add(client);
      return client;
    };
    return {
      take: () => free.pop() ?? another(),
      give: (client) => void free.push(client),
      drop,
      connects: () => connects,
    };
  };
  const connection = open();
  return {
    connection,
    // It opens what it needs anew, so it never is of no use.
    dropped: new Promise(() => undefined),
    close: async () => {
      closing.abort();
      await connection;
      await Promise.all(Array.from(all, (client) => client.destroy()));
    },
  };
}
