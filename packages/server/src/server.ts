import { setMaxListeners } from 'node:events';
import { type Logger, pino } from 'pino';
import { WaymarkError } from 'waymark';
import {
  createLocalHost,
  createSpace,
  type Engine,
  openEngine,
  systemClock,
  systemRandom,
  withoutPassword,
} from 'waymark/engine';
import { accessOf, isOpenElsewhere } from './access/of-server.js';
import { drain } from './drain.js';
import { createFaces, type ServerParts } from './faces.js';
import { describe } from './figures.js';
import { urlOf } from './listen-address.js';
import { listen, type Listener } from './listener.js';
import type { Metrics } from './metrics.js';
import { publish } from './observe/channels.js';
import { Observation } from './observe/observation.js';
import { describeProcess } from './observe/process-figures.js';
import { describeReadiness } from './observe/readiness.js';
import { reachServers } from './reach-servers.js';
import { schemeOf, serverLimits, type ServerOptions } from './server-options.js';
import { describeStash } from './stash/figures.js';
import { stashOf } from './stash/of-server.js';
import { portReload, type TlsReload } from './tls-reload.js';
import { describeWatchers } from './watchers/figures.js';
import { watchersOf } from './watchers/of-server.js';
import type { WatcherService } from './watchers/service.js';

export interface RunningServer {
  readonly addresses: readonly string[];
  /** Looks at the files of TLS at once, as it does every so often by itself; what is wrong with them is logged. */
  reloadTls(): Promise<void>;
  /** Drains: new calls are refused, those under way finish, within 10 s. */
  close(): Promise<void>;
}

/** Starts a server: one engine, one port per address, every face on each. @throws {WaymarkError} `denied`, `taken`, `invalid`, `corrupt` */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const {
    engine: url = 'file:./waymark-data',
    clock = systemClock,
    random = systemRandom,
  } = options;
  const logger = loggerOf(options);
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
  const access = await accessOf(options, { engine, clock, random }).catch(
    async (error: unknown) => {
      await watchers?.[Symbol.asyncDispose]();
      await closeEngine();
      throw error;
    },
  );
  let reachable = options.advertise;
  const stash = stashOf(options.stash, url, { engine, clock, random, logger });
  const local = createLocalHost(engine, {
    ...{ clock, random, root, stash },
    watchers: watchers?.desk,
    address: () => reachable,
    reach: reachServers(options.tls, { clock, random, access }),
  });
  const host = observed.host(local);
  const space = createSpace(host, { clock, random, owner: 'http' });
  const closeAll = async (): Promise<void> => {
    await stash.close();
    await space.close();
    await access[Symbol.asyncDispose]();
    await closeEngine();
  };
  try {
    await stash.start(space);
    const { listener, reload, stop } = await serve({
      ...{ engine, access, host, space, stash, watchers, observed, logger, clock, random, options },
    });
    const [first] = listener.addresses;
    reachable ??= first === undefined ? undefined : urlOf(first, schemeOf(options));
    logger.info({ addresses: listener.addresses, engine: shown(url) }, 'serving');
    let closed: Promise<void> | undefined;
    return {
      addresses: listener.addresses,
      reloadTls: async () => await reload?.look(),
      close: () => (closed ??= stop().then(closeAll)),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function shown(engine: Engine | string): string {
  return typeof engine === 'string' ? withoutPassword(engine) : 'given';
}

function loggerOf({ logLevel = 'info' }: ServerOptions): Logger {
  return pino({ level: logLevel }, pino.destination({ dest: 2, sync: true }));
}

interface Serving {
  readonly listener: Listener;
  readonly reload: TlsReload | null;
  readonly stop: () => Promise<void>;
}

async function serve(parts: ServerParts): Promise<Serving> {
  const { host, clock, space, observed, options, watchers, stash } = parts;
  const { listen: addresses = ['127.0.0.1:7420'], tls } = options;
  const insecure = isOpenElsewhere(options, parts.access);
  const { connectionsMax = serverLimits.connectionsMax } = options;
  const { firstByteMs = serverLimits.firstByteMs } = options;
  const { metrics } = observed;
  const stopping = new AbortController();
  // Whatever lasts listens to it, and leaves when it is over.
  setMaxListeners(0, stopping.signal);
  const refused = refusalsOf(metrics);
  const faces = await createFaces(parts, {
    stopping: stopping.signal,
    refused,
    listener: () => listener,
  });
  const listener = await listen(
    { listen: addresses, insecure, connectionsMax, firstByteMs, tls, clock, refused },
    faces.all,
  );
  const reload = portReload(listener.tls, { ...parts, everyMs: options.tlsReloadMs });
  const endProcess = describeProcess(metrics, clock);
  describe(metrics, { host, clock }, faces.connections);
  describeReadiness(metrics, faces.readiness);
  stash.flushed = describeStash(metrics, () => stash.service);
  watchers?.start({
    space,
    tracing: observed.tracing,
    tried: describeWatchers(metrics, watchers),
  });
  const stop = async (): Promise<void> => {
    reload?.stop();
    stopping.abort(
      new WaymarkError('unavailable', 'the server stops: try again', { retryAfterMs: 1_000 }),
    );
    const left = watchers?.[Symbol.asyncDispose]();
    endProcess();
    await Promise.all([drain({ ...faces, listener, clock }), left]);
  };
  return { listener, reload, stop };
}

function refusalsOf(metrics: Metrics): (reason: string) => void {
  const refusals = metrics.counter(
    'waymark_connections_refused_total',
    'Connections not served, by reason.',
  );
  return (reason) => {
    refusals.add({ reason });
    publish('refused', () => ({ reason }));
  };
}
