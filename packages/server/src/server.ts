import { createRequire } from 'node:module';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { type Space, WaymarkError } from 'waymark';
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
import { createEtcdFace, type EtcdFace } from './etcd/face.js';
import { createApp } from './http/app.js';
import { loopbackNames } from './http/origin.js';
import { overHttp2 } from './http/over-http2.js';
import { upgrader } from './http/websocket.js';
import { urlOf } from './listen-address.js';
import { beginsWith, type Face, listen, type Listener } from './listener.js';
import { drain } from './drain.js';
import { describe } from './figures.js';
import type { Metrics } from './metrics.js';
import { Observation } from './observe/observation.js';
import { describeProcess } from './observe/process-figures.js';
import { describeReadiness, Readiness } from './observe/readiness.js';
import type { Connections } from './observe/server-status.js';
import { reachServers } from './reach-servers.js';
import { createSocketFace, type SocketFace } from './socket/face.js';
import { etcdOptions, schemeOf, type ServerOptions, timesOf } from './server-options.js';
import { isMutual } from './tls.js';
import { describeStash } from './stash/figures.js';
import { type ServerStash, stashOf } from './stash/of-server.js';
import { describeWatchers } from './watchers/figures.js';
import { watchersOf } from './watchers/of-server.js';
import type { WatcherService } from './watchers/service.js';

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
  const needed = (): number | null => (watchers === undefined ? 0 : watchers.needed);
  // Who delivers nothing does not know.
  const history = { ...options.history, ...(options.watchers !== false && { needed }) };
  const opened = { clock, random, history, mirror: options.mirror, told };
  const observed = await Observation.begin(clock);
  const root = typeof url === 'string' ? await openEngine(url, opened) : url;
  const engine = observed.engine(root);
  const closeEngine = async (): Promise<void> => {
    if (typeof url === 'string') await root[Symbol.asyncDispose]();
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
  const local = createLocalHost(engine, {
    ...{ clock, random, root, stash },
    watchers: watchers?.desk,
    address: () => reachable,
    reach: reachServers(options.tls, { clock, random }),
  });
  const host = observed.host(local);
  const space = createSpace(host, { clock, random, owner: 'http' });
  const closeAll = async (): Promise<void> => {
    await stash.close();
    await space.close();
    await closeEngine();
  };
  try {
    await stash.start(space);
    const { listener, stop } = await serve({
      ...{ engine, host, space, stash, watchers, observed, logger, clock, random, options },
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

interface Parts {
  readonly engine: Engine;
  readonly host: Host;
  readonly space: Space;
  readonly stash: ServerStash;
  readonly watchers: WatcherService | undefined;
  readonly observed: Observation;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: ServerOptions;
}

async function serve(parts: Parts): Promise<{ listener: Listener; stop: () => Promise<void> }> {
  const { host, engine, clock, space, observed, options } = parts;
  const { listen: addresses = ['127.0.0.1:7420'], insecure = false } = options;
  const { connectionsMax = 10_000, firstByteMs = 10_000, tls } = options;
  const elsewhere = insecure || isMutual(options.tls);
  const { allowEngine = !elsewhere } = options;
  const { metrics } = observed;
  const stopping = new AbortController();
  const hosts = elsewhere ? null : loopbackNames;
  const refused = refusalsOf(metrics);
  const etcd = createEtcdFace({
    ...parts,
    ...etcdOptions(options, () => listener.addresses),
    allowSnapshot: allowEngine,
    stopping: stopping.signal,
    refused,
    measure: observed.etcd,
    hosts,
    others: (stream) => rest(stream),
  });
  const connections = (): Connections => ({
    all: listener.connections(),
    binary: binary.connections,
    etcd: etcd.connections,
    streams: watches.streams.open,
  });
  const looked = { ...parts, cluster: options.cluster, stopping: stopping.signal };
  const readiness = new Readiness(looked);
  const { app, watches } = await createApp({
    ...parts,
    tracing: observed.tracing,
    readiness,
    status: { ...looked, ...observed, readiness, connections },
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
    ...{ ...observed.binary, ...observed.traced },
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
  const endProcess = describeProcess(metrics, clock);
  describe(metrics, { host, clock }, connections);
  describeReadiness(metrics, readiness);
  const { watchers: service, stash } = parts;
  stash.flushed = describeStash(metrics, () => stash.service);
  if (service !== undefined)
    service.start({ space, tracing: observed.tracing, tried: describeWatchers(metrics, service) });
  const stop = async (): Promise<void> => {
    stopping.abort(
      new WaymarkError('unavailable', 'the server stops: try again', { retryAfterMs: 1_000 }),
    );
    const left = service?.[Symbol.asyncDispose]();
    endProcess();
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
