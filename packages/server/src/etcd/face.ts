import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Auth, Cluster, Election, KV, Lease, Lock, Maintenance, Watch } from 'waymark/etcd';
import {
  type Clock,
  type Engine,
  type Host,
  type Random,
  validateWholeNumber,
} from 'waymark/engine';
import type { Admission } from 'waymark/wire';
import type { Access } from '../access/access.js';
import { type Method, methodsOf } from '../grpc/methods.js';
import { isGrpc, serveGrpc } from '../grpc/serve.js';
import { serveHttp1 } from '../http/http1-stream.js';
import { type Http2Layer, http2Layers } from '../http2/layers.js';
import type { ServedStream, StreamHandler, Transport } from '../http2/transport.js';
import type { MeasureMethods } from '../observe/etcd-figures.js';
import { AuthService } from './auth.js';
import { guarded } from './auth-guard.js';
import { requestBytesMax } from './commit.js';
import { ClusterService } from './cluster.js';
import { ElectionService } from './election.js';
import { explain } from './errors.js';
import { isGatewayPath } from './gateway/bindings.js';
import { createGateway } from './gateway/gateway.js';
import { type Ground, headerOf, idsOf } from './ground.js';
import { KvService } from './kv.js';
import { LeaseService } from './lease.js';
import { LockService } from './lock.js';
import { MaintenanceService } from './maintenance.js';
import { putCodec } from './put-bytes.js';
import { Quota } from './quota.js';
import { WatchService } from './watch.js';

export interface EtcdFaceOptions {
  readonly engine: Engine;
  readonly host: Host;
  readonly access: Access;
  readonly clock: Clock;
  readonly random: Random;
  /** Served unless a call names another. Default `etcd`. */
  readonly namespace?: string | undefined;
  /** How often a watch that asks for progress hears of it while there are no events, in ms. Default 600 000, as etcd's. */
  readonly progressNotifyMs?: number | undefined;
  /** Where clients reach this server, as URLs, once it listens. */
  readonly urls: () => readonly string[];
  /** What each namespace may take, in bytes; default: as much as there is room for. */
  readonly quotaBytes?: number | undefined;
  /** Whether clients may have snapshots, which hold all namespaces. */
  readonly allowSnapshot: boolean;
  /** Who speaks the frames of HTTP/2. Default `own`. */
  readonly http2?: Http2Layer | undefined;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  /** Bounds the work under way of all faces. */
  readonly admission?: Admission | undefined;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex, token?: string) => Error | null) | undefined;
  readonly refused?: ((reason: string) => void) | undefined;
  /** Host names that requests in JSON may carry; null for any. */
  readonly hosts: ReadonlySet<string> | null;
  /** Sees each method's calls and how they end. Default: nobody does. */
  readonly measure?: MeasureMethods | undefined;
  /** Answers what comes over HTTP/2 and is not etcd's. */
  readonly others: (stream: ServedStream) => StreamHandler;
}

/** etcd's API on connections that speak HTTP/2, and in JSON over HTTP/1.1 as well. */
export interface EtcdFace {
  /** Answers requests to etcd's JSON gateway. @returns whether it is one */
  answer(request: IncomingMessage, response: ServerResponse): boolean;
  /** The socket is the face's now, the preface still to be read. */
  serve(socket: Socket): void;
  readonly connections: number;
  /** The server stops. */
  drain(graceMs: number): Promise<void>;
}

/** etcd's limit of a request, and what its gRPC layer lets through above that for it to be refused in words. */
const messageBytesMax = requestBytesMax + 524_288;

/** Begins a space that has no history: etcd's first revision is 1, and clients take 0 for "none". */
const firstKey = 'w/etcd/first';

/** What stands from the first connection on. */
interface Opened {
  readonly transport: Transport;
  readonly gateway: (stream: ServedStream) => StreamHandler;
  readonly quota: Quota;
}

/**
 * Nothing is asked of the engine before somebody connects: a server whose clients speak other protocols pays nothing for this one.
 *
 * @throws {WaymarkError} `invalid` for a quota that is no whole number
 */
export function createEtcdFace(options: EtcdFaceOptions): EtcdFace {
  validateWholeNumber('etcdQuotaBytes', options.quotaBytes);
  let opened: Opened | undefined;
  let opening: Promise<Opened> | undefined;
  const begin = async (): Promise<Opened> => {
    try {
      return (opened = await openFace(options));
    } finally {
      // Where it failed, the next connection tries again.
      opening = undefined;
    }
  };
  const whenOpen = (serve: (face: Opened) => void, refuse: () => void): void => {
    if (opened !== undefined) return serve(opened);
    opening ??= begin();
    opening.then(serve, refuse);
  };
  return {
    answer(request, response) {
      if (!isGatewayPath(request.url ?? '')) return false;
      whenOpen(
        ({ gateway }) => serveHttp1(request, response, gateway),
        () => response.destroy(),
      );
      return true;
    },
    serve(socket) {
      whenOpen(
        ({ transport }) => {
          if (!socket.destroyed) transport.serve(socket);
        },
        () => socket.destroy(),
      );
    },
    get connections() {
      return opened?.transport.connections ?? 0;
    },
    async drain(graceMs) {
      // What could not be opened leaves nothing to drain.
      const { transport, quota } = opened ?? (await opening?.catch(() => null)) ?? {};
      await transport?.drain(graceMs);
      await quota?.closed();
    },
  };
}

async function openFace(options: EtcdFaceOptions): Promise<Opened> {
  const { clock, stopping, engine, namespace = 'etcd', http2 = 'own' } = options;
  const { progressNotifyMs = 600_000, measure = (methods) => methods } = options;
  await beginHistory(engine);
  const { identity } = await engine.status();
  const ids = idsOf(identity);
  const quota = new Quota(engine, ids.memberId, options.quotaBytes);
  const header = headerOf(ids);
  const ground: Ground = { ...options, namespace, progressNotifyMs, ids, quota, header };
  const { access } = options;
  // Its clients expect of a cluster that all of it knows what one of it was told.
  await access.store.follow();
  await quota.follow({ clock, stopping });
  const grpc = serveGrpc({
    methods: measure(guarded(methodsFor(ground, access), ground, access)),
    bytesMax: messageBytesMax,
    explain,
    clock,
    admission: options.admission,
    spend: options.spend,
    stopping,
  });
  const gateway = createGateway({ grpc, bytesMax: messageBytesMax, hosts: options.hosts });
  const accept = (stream: ServedStream): StreamHandler => {
    if (isGrpc(stream)) return grpc(stream);
    return isGatewayPath(stream.path) ? gateway(stream) : options.others(stream);
  };
  const transport = http2Layers[http2]({ clock, refused: options.refused, accept });
  return { transport, gateway, quota };
}

function methodsFor(ground: Ground, access: Access): Method[] {
  return [
    ...methodsOf(KV, new KvService(ground).handlers, { put: putCodec(ground.header) }),
    ...methodsOf(Watch, new WatchService(ground).handlers),
    ...methodsOf(Lease, new LeaseService(ground, access).handlers),
    ...methodsOf(Lock, new LockService(ground).handlers),
    ...methodsOf(Election, new ElectionService(ground).handlers),
    ...methodsOf(Cluster, new ClusterService(ground).handlers),
    ...methodsOf(Maintenance, new MaintenanceService(ground).handlers),
    ...methodsOf(Auth, new AuthService(ground, access).handlers),
  ];
}

async function beginHistory(engine: Engine): Promise<void> {
  const when = [{ key: firstKey, target: 'version', is: '=', to: 0 }] as const;
  const { revision } = await engine.status();
  if (revision === 0)
    await engine.commit({ when, apply: [{ type: 'put', key: firstKey, value: '' }] });
}
