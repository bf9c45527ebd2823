import { createRequire } from 'node:module';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Space } from 'waymark';
import type { Clock, Engine, Host, Random } from 'waymark/engine';
import type { Access } from './access/access.js';
import { isOpenElsewhere } from './access/of-server.js';
import { broughtBy } from './access/shown.js';
import { workLimits } from './admission.js';
import { createEtcdFace, type EtcdFace } from './etcd/face.js';
import { createApp } from './http/app.js';
import { loopbackNames } from './http/origin.js';
import { overHttp2 } from './http/over-http2.js';
import { Callers } from './http/callers.js';
import { type UpgradeParts, upgrader } from './http/websocket.js';
import { beginsWith, type Face, type Listener } from './listener.js';
import type { Observation } from './observe/observation.js';
import { Readiness } from './observe/readiness.js';
import type { Connections } from './observe/server-status.js';
import { claimLimitsOf, etcdOptions, type ServerOptions, timesOf } from './server-options.js';
import { createSocketFace, type SocketFace } from './socket/face.js';
import type { ServerStash } from './stash/of-server.js';
import type { WatcherService } from './watchers/service.js';

/** What stands behind the faces of a server. */
export interface ServerParts {
  readonly engine: Engine;
  readonly access: Access;
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

/** What stands before them. */
export interface Doors {
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  /** Told of each connection that is not served, by reason. */
  readonly refused: (reason: string) => void;
  /** Once it listens. */
  readonly listener: () => Listener;
}

/** REST, the binary protocol and etcd's API, over one host. */
export interface Faces {
  readonly app: FastifyInstance;
  readonly binary: SocketFace;
  readonly etcd: EtcdFace;
  /** As the listener tells them apart. */
  readonly all: readonly Face[];
  readonly readiness: Readiness;
  readonly connections: () => Connections;
}

const http2Preface = 'PRI * HTTP/2.0';
const version = (
  createRequire(import.meta.url)('@waymark/server/package.json') as { version: string }
).version;
const methods = ['GET ', 'PUT ', 'POST ', 'HEAD ', 'DELETE ', 'PATCH ', 'OPTIONS '];

export async function createFaces(parts: ServerParts, doors: Doors): Promise<Faces> {
  const { host, engine, access, clock, observed, options, logger } = parts;
  const { stopping, refused, listener } = doors;
  const elsewhere = isOpenElsewhere(options, access);
  // Once access is on, it is root's alone.
  const { allowEngine = access.on || !elsewhere } = options;
  const { metrics } = observed;
  const hosts = elsewhere ? null : loopbackNames;
  const work = workLimits(options, { metrics, clock, access });
  const etcd = createEtcdFace({
    ...parts,
    ...etcdOptions(options, () => listener().addresses),
    ...{ stopping, refused, hosts },
    ...work,
    allowSnapshot: allowEngine,
    measure: observed.etcd,
    others: (stream) => rest(stream),
  });
  const connections = (): Connections => ({
    all: listener().connections(),
    binary: binary.connections,
    etcd: etcd.connections,
    streams: watches.streams.open,
  });
  const looked = { ...parts, cluster: options.cluster, stopping };
  const readiness = new Readiness(looked);
  const callers = new Callers(parts);
  const { app, watches } = await createApp({
    ...looked,
    ...{ callers, host: callers.host, space: callers.space },
    ...{ readiness, metrics, hosts, version, tracing: observed.tracing },
    ...work,
    status: { ...looked, ...observed, readiness, connections },
    before: (request, response) => etcd.answer(request, response),
    allowBackup: allowEngine,
    ...timesOf(options),
  });
  const rest = overHttp2(app.server);
  const binary = createSocketFace({
    ...{ ...observed.binary, ...observed.traced },
    ...{ host, access, clock },
    ...work,
    limits: claimLimitsOf(options),
    engine: allowEngine ? engine : undefined,
    server: `waymark ${version}`,
    faulted: (error) => logger.error({ err: error }, 'a call over the binary protocol failed'),
  });
  upgrades(app, binary, { ...watches, hosts, callers, spend: work.spend });
  return { app, binary, etcd, all: told(app, binary, etcd), readiness, connections };
}

function upgrades(
  app: FastifyInstance,
  binary: SocketFace,
  parts: Omit<UpgradeParts, 'binary'>,
): void {
  const serve = upgrader({
    ...parts,
    binary: (...sockets) => void binary.serveWebSocket(...sockets),
  });
  app.server.on('upgrade', serve);
  // It never listens itself: this starts its bookkeeping of connections, and with it their timeouts.
  app.server.emit('listening');
}

/** Which face a connection speaks, by its first bytes. */
function told(app: FastifyInstance, binary: SocketFace, etcd: EtcdFace): Face[] {
  return [
    {
      name: 'binary',
      speaks: binary.speaks,
      serve: (socket) => binary.serve(socket, broughtBy(socket)),
    },
    {
      name: 'http',
      speaks: beginsWith(...methods),
      serve: (socket) => void app.server.emit('connection', socket),
    },
    { name: 'etcd', speaks: beginsWith(http2Preface), serve: (socket) => etcd.serve(socket) },
  ];
}
