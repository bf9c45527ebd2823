import type { Socket } from 'node:net';
import { callbackify } from 'node:util';
import type { buildConnector, Pool } from 'undici';
import type { EndpointTools, Target } from '../endpoint.js';
import type { SharedConnection } from '../kit/shared-connections.js';

/** Connections of one origin that are kept alive. Each endpoint has one request under way, so they are never more than its endpoints. */
export interface HttpPool {
  readonly pool: Pool;
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
  const name = host.includes(':') ? `[${host}]` : host;
  const open = async (): Promise<HttpPool> => {
    // Loaded when it is needed: it takes longer than most commands.
    const undici = await import('undici');
    const pool = new undici.Pool(`${secure ? 'https' : 'http'}://${name}:${port}`, {
      connect,
      pipelining: 1,
      // The signal of a try is its limit.
      headersTimeout: 0,
    });
    return { pool, connects: () => connects };
  };
  const connection = open();
  return {
    connection,
    // A pool opens what it needs anew, so it never is of no use.
    dropped: new Promise(() => undefined),
    close: async () => {
      closing.abort();
      await (await connection).pool.destroy();
    },
  };
}
