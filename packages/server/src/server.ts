import { createRequire } from 'node:module';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { type OpenOptions, type Space, WaymarkError } from 'waymark';
import type { Cluster } from 'waymark/cluster';
import {
  type Clock,
  createLocalHost,
  createSpace,
  type Engine,
  type Host,
  openEngine,
  type Random,
  systemClock,
  systemRandom,
  withoutPassword,
} from 'waymark/engine';
import { createEtcdFace, type EtcdFace, type EtcdFaceOptions } from './etcd/face.js';
import { type AppParts, createApp } from './http/app.js';
import { loopbackNames } from './http/origin.js';
import { overHttp2 } from './http/over-http2.js';
import type { Http2Layer } from './http2/layers.js';
import { upgrader } from './http/websocket.js';
import { urlOf } from './listen-address.js';
import { beginsWith, type Face, listen, type Listener } from './listener.js';
import { drain } from './drain.js';
import { describe } from './figures.js';
import { Metrics } from './metrics.js';
import { reachServers } from './reach-servers.js';
import { createSocketFace, type SocketFace } from './socket/face.js';
import { isMutual, type TlsOptions } from './tls.js';
import { describeStash } from './stash/figures.js';
import { type ServerStash, type ServerStashOptions, stashOf } from './stash/of-server.js';
import { describeWatchers } from './watchers/figures.js';
import { watchersOf, type WatchersOptions } from './watchers/of-server.js';
import type { WatcherService } from './watchers/service.js';

export interface ServerOptions {
  /** `host:port` (port 0: a free one), `[ipv6]:port`, `unix:/path`. Default 127.0.0.1:7420. */
  readonly listen?: readonly string[] | undefined;
  /** Where other servers reach this one, as a URL. Default: the first address it listens on. */
  readonly advertise?: string | undefined;
  /** `memory`, `file:DIR` or `etcd://…`, or an engine of the caller's, which stays open. Default `file:./waymark-data`. */
  readonly engine?: string | Engine | undefined;
  /** The member whose engine it is: others join by this server. */
  readonly cluster?: Cluster | undefined;
  /** How much history the engine keeps at least: `{ revisions, bytes }`, 10 000 and 64 MiB unless told. */
  readonly history?: OpenOptions['history'];
  /** Keep what is there in memory too, for stale reads and watches: see `mirror` of waymark/engine. Default false. */
  readonly mirror?: OpenOptions['mirror'];
  /** Listen beyond loopback though there are no access rules. */
  readonly insecure?: boolean | undefined;
  /**
   * TLS on every address, beside plain text: a connection is told apart by its first byte. With `only` and clients' certificates required it
   * may listen beyond loopback.
   */
  readonly tls?: TlsOptions | undefined;
  /** Raw engine verbs and backups for clients. Default true where only this machine can connect, else false. */
  readonly allowEngine?: boolean | undefined;
  /** The namespace that clients of etcd's API mean unless they name one. Default `etcd`. */
  readonly etcdNamespace?: string | undefined;
  /**
   * What each namespace may take through etcd's API, in bytes of keys and values; past it, writes are refused there and the alarm NOSPACE is
   * raised. Default: no limit.
   */
  readonly etcdQuotaBytes?: number | undefined;
  /** Who speaks the frames of HTTP/2: Waymark (`own`), or Node's module (`node`). Default `own`. */
  readonly http2?: Http2Layer | undefined;
  /** Registered watches and their delivery; false: this server has none of it. Default: on. */
  readonly watchers?: false | WatchersOptions | undefined;
  /**
   * The storage node of this server; false: none. Default: with `file:DIR` one in `DIR-stash`, from the first call of the stash on; with other engines none unless a directory is named.
   */
  readonly stash?: false | ServerStashOptions | undefined;
  readonly logLevel?: string | undefined;
  readonly connectionsMax?: number | undefined;
  readonly firstByteMs?: number | undefined;
  readonly headersMs?: number | undefined;
  readonly requestMs?: number | undefined;
  /** Watch streams over HTTP and WebSocket together. Default 10 000. */
  readonly streamsMax?: number | undefined;
  readonly heartbeatMs?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

export interface RunningServer {
  readonly addresses: readonly string[];
  /** Drains: new calls are refused, those under way finish, within 10 s. */
  close(): Promise<void>;
}

const http2Preface = 'PRI * HTTP/2.0';
const version = (
  createRequire(import.meta.url)('@waymark/server/package.json') as { version: string }
).version;
const methods = ['GET ', 'PUT ', 'POST ', 'HEAD ', 'DELETE ', 'PATCH ', 'OPTIONS '];

/** Starts a server: one engine, one port per address, every face on each. @throws {WaymarkError} `denied`, `taken`, `invalid`, `corrupt` */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const {
    engine: url = 'file:./waymark-data',
    clock = systemClock,
    random = systemRandom,
  } = options;
  const logger = pino(
    { level: options.logLevel ?? 'info' },
    pino.destination({ dest: 2, sync: true }),
  );
  const told = (message: string): void => logger.info(message);
  let watchers: WatcherService | undefined;
  // Until it is known what is needed, all is: opening replays history, and would drop what an endpoint waits for.
  const needed = (): number | null =>
    options.watchers === false ? null : watchers === undefined ? 0 : watchers.needed;
  const history = { ...options.history, needed };
  const opened = { clock, random, history, mirror: options.mirror, told };
  const engine = typeof url === 'string' ? await openEngine(url, opened) : url;
  const closeEngine = async (): Promise<void> => {
    if (typeof url === 'string') await engine[Symbol.asyncDispose]();
  };
  if (options.watchers !== false) {
    const { watchers: asked = {}, advertise } = options;
    const parts = { given: url, engine, logger, clock, random, advertise };
    watchers = await watchersOf(asked, parts).catch(async (error: unknown) => {
      await closeEngine();
      throw error;
    });
  }
  let reachable = options.advertise;
  const stash = stashOf(options.stash, url, { engine, clock, random, logger });
  const host = createLocalHost(engine, {
    clock,
    random,
    watchers: watchers?.desk,
    stash,
    address: () => reachable,
    reach: reachServers(options.tls, { clock, random }),
  });
  const space = createSpace(host, { clock, random, owner: 'http' });
  const closeAll = async (): Promise<void> => {
    await stash.close();
    await space.close();
    await closeEngine();
  };
  try {
    await stash.start(space);
    const { listener, stop } = await serve({
      ...{ engine, host, space, stash, watchers, logger, clock, random, options },
    });
    const [first] = listener.addresses;
    reachable ??= first === undefined ? undefined : urlOf(first, schemeOf(options));
    logger.info(
      {
        addresses: listener.addresses,
        engine: typeof url === 'string' ? withoutPassword(url) : 'given',
      },
      'serving',
    );
    let closed: Promise<void> | undefined;
    return {
      addresses: listener.addresses,
      close: () => (closed ??= stop().then(closeAll)),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function schemeOf({ tls }: ServerOptions): 'http' | 'https' {
  return tls === undefined ? 'http' : 'https';
}

interface Parts {
  readonly engine: Engine;
  readonly host: Host;
  readonly space: Space;
  readonly stash: ServerStash;
  readonly watchers: WatcherService | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: ServerOptions;
}

async function serve(parts: Parts): Promise<{ listener: Listener; stop: () => Promise<void> }> {
  const { host, engine, clock, space, options } = parts;
  const { listen: addresses = ['127.0.0.1:7420'], insecure = false } = options;
  const { connectionsMax = 10_000, firstByteMs = 10_000, tls } = options;
  const elsewhere = insecure || isMutual(options.tls);
  const { allowEngine = !elsewhere } = options;
  const metrics = new Metrics();
  const stopping = new AbortController();
  const hosts = elsewhere ? null : loopbackNames;
  const refused = refusalsOf(metrics);
  const etcd = createEtcdFace({
    ...parts,
    ...etcdOptions(options, () => listener.addresses),
    allowSnapshot: allowEngine,
    stopping: stopping.signal,
    refused,
    hosts,
    others: (stream) => rest(stream),
  });
  const { app, watches } = await createApp({
    ...parts,
    before: (request, response) => etcd.answer(request, response),
    cluster: options.cluster,
    metrics,
    hosts,
    allowBackup: allowEngine,
    version,
    ...timesOf(options),
    stopping: stopping.signal,
  });
  const rest = overHttp2(app.server);
  const binary = createSocketFace({
    host,
    engine: allowEngine ? engine : undefined,
    server: `waymark ${version}`,
    clock,
    faulted: (error) =>
      parts.logger.error({ err: error }, 'a call over the binary protocol failed'),
  });
  app.server.on(
    'upgrade',
    upgrader({ ...watches, hosts, binary: (socket) => void binary.serveWebSocket(socket) }),
  );
  // It never listens itself: this starts its bookkeeping of connections, and with it their timeouts.
  app.server.emit('listening');
  const listener = await listen(
    { listen: addresses, insecure, connectionsMax, firstByteMs, tls, clock, refused },
    facesOf(app, binary, etcd),
  );
  describe(metrics, { host, clock }, () => ({
    waymark_connections: listener.connections(),
    waymark_binary_connections: binary.connections,
    waymark_etcd_connections: etcd.connections,
    waymark_watch_streams: watches.streams.open,
  }));
  const { watchers: service, stash } = parts;
  stash.flushed = describeStash(metrics, () => stash.service);
  if (service !== undefined) service.start({ space, tried: describeWatchers(metrics, service) });
  const stop = async (): Promise<void> => {
    stopping.abort(
      new WaymarkError('unavailable', 'the server stops: try again', { retryAfterMs: 1_000 }),
    );
    const left = service?.[Symbol.asyncDispose]();
    await Promise.all([drain({ app, listener, binary, etcd, clock }), left]);
  };
  return { listener, stop };
}

function refusalsOf(metrics: Metrics): (reason: string) => void {
  const refusals = metrics.counter(
    'waymark_connections_refused_total',
    'Connections not served, by reason.',
  );
  return (reason) => refusals.add({ reason });
}

function etcdOptions(
  options: ServerOptions,
  addresses: () => readonly string[],
): Pick<EtcdFaceOptions, 'namespace' | 'quotaBytes' | 'http2' | 'urls'> {
  const { advertise } = options;
  const urls = (): string[] => addresses().map((one) => urlOf(one, schemeOf(options)));
  return {
    namespace: options.etcdNamespace,
    quotaBytes: options.etcdQuotaBytes,
    http2: options.http2,
    urls: () => (advertise === undefined ? urls() : [advertise]),
  };
}

function timesOf(
  options: ServerOptions,
): Pick<AppParts, 'headersMs' | 'requestMs' | 'streamsMax' | 'heartbeatMs'> {
  return {
    headersMs: options.headersMs ?? 10_000,
    requestMs: options.requestMs ?? 30_000,
    streamsMax: options.streamsMax ?? 10_000,
    heartbeatMs: options.heartbeatMs ?? 15_000,
  };
}

function facesOf(app: FastifyInstance, binary: SocketFace, etcd: EtcdFace): Face[] {
  return [
    { name: 'binary', speaks: binary.speaks, serve: (socket) => binary.serve(socket) },
    {
      name: 'http',
      speaks: beginsWith(...methods),
      serve: (socket) => void app.server.emit('connection', socket),
    },
    { name: 'etcd', speaks: beginsWith(http2Preface), serve: (socket) => etcd.serve(socket) },
  ];
}
