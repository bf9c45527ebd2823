import { setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import {
  createLocalHost,
  createMemoryEngine,
  type Engine,
  openEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { Access } from '../access/access.js';
import { createEtcdFace } from '../etcd/face.js';
import { loopbackNames } from '../http/origin.js';
import { overHttp2 } from '../http/over-http2.js';
import type { Http2Layer } from '../http2/layers.js';
import { urlOf } from '../listen-address.js';
import { beginsWith, listen } from '../listener.js';

export interface StartEtcdOptions {
  /** `host:port` (port 0: a free one) or `unix:/path`. Default `127.0.0.1:0`. */
  readonly listen?: string | undefined;
  /** `memory`, `file:DIR`, …, or an engine of the caller's, which stays open. Default `memory`. */
  readonly engine?: string | Engine | undefined;
  /** How often a watch that asks for progress hears of it while there are no events, in ms. Default 600 000, as etcd's. */
  readonly progressNotifyMs?: number | undefined;
  /** What each namespace may take, in bytes of keys and values; past it, writes are refused and the alarm NOSPACE is raised. Default: no limit. */
  readonly quotaBytes?: number | undefined;
  /** Who speaks the frames of HTTP/2: Waymark (`own`), or Node's module (`node`). Default `own`. */
  readonly http2?: Http2Layer | undefined;
}

export interface EtcdForTests extends AsyncDisposable {
  /** `127.0.0.1:41234`: what clients of etcd take as their endpoint. */
  readonly address: string;
  /** `http://127.0.0.1:41234` */
  readonly url: string;
  /** Ends every connection, and frees the port. */
  close(): Promise<void>;
}

const firstByteMs = 10_000;
const connectionsMax = 10_000;
const graceMs = 100;
/** Passwords here keep nothing that matters: each login takes microseconds, not the quarter of a second that guards people's. */
const passwordCost = { N: 16, r: 1, p: 1 };

/**
 * An etcd in this process, for tests: it starts within milliseconds, keeps everything in memory, and is gone when it is closed.
 *
 * @throws {WaymarkError} `taken` for a port that is in use, `invalid`
 */
export async function startEtcd(options: StartEtcdOptions = {}): Promise<EtcdForTests> {
  const [clock, random] = [systemClock, systemRandom];
  const { engine: given = createMemoryEngine({ clock, random }) } = options;
  const engine = typeof given === 'string' ? await openEngine(given, { clock, random }) : given;
  const host = createLocalHost(engine, { clock, random });
  const access = await Access.open({ engine, clock, random, passwordCost });
  const stopping = new AbortController();
  // Whatever lasts listens to it, and leaves when it is over.
  setMaxListeners(0, stopping.signal);
  const http = createServer((request, response) => {
    if (!face.answer(request, response)) response.writeHead(404).end();
  });
  const face = createEtcdFace({
    engine,
    host,
    access,
    clock,
    random,
    progressNotifyMs: options.progressNotifyMs,
    urls: () => listener.addresses.map((one) => urlOf(one)),
    quotaBytes: options.quotaBytes,
    http2: options.http2,
    allowSnapshot: true,
    stopping: stopping.signal,
    hosts: loopbackNames,
    others: overHttp2(http),
  });
  const listener = await listen(
    {
      listen: [options.listen ?? '127.0.0.1:0'],
      insecure: false,
      connectionsMax,
      firstByteMs,
      clock,
    },
    [
      {
        name: 'etcd',
        speaks: beginsWith('PRI * HTTP/2.0'),
        serve: (socket) => face.serve(socket),
      },
      {
        name: 'http',
        speaks: beginsWith('GET ', 'POST ', 'PUT ', 'HEAD ', 'DELETE ', 'OPTIONS '),
        serve: (socket) => void http.emit('connection', socket),
      },
    ],
  );
  const [address = ''] = listener.addresses;
  let closed: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    stopping.abort();
    listener.stop();
    await face.drain(graceMs);
    await access[Symbol.asyncDispose]();
    listener.destroy();
    await host[Symbol.asyncDispose]();
    if (engine !== options.engine) await engine[Symbol.asyncDispose]();
  };
  const close = (): Promise<void> => (closed ??= end());
  return {
    address,
    url: urlOf(address),
    close,
    [Symbol.asyncDispose]: close,
  };
}
