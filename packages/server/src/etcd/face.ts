import type { Socket } from 'node:net';
import { Auth, Cluster, Election, KV, Lease, Lock, Maintenance, Watch } from 'waymark/etcd';
import {
  type Clock,
  type Engine,
  type Host,
  type Random,
  validateWholeNumber,
} from 'waymark/engine';
import { Access } from '../access/access.js';
import { type Method, methodsOf } from '../grpc/methods.js';
import { isGrpc, serveGrpc } from '../grpc/serve.js';
import { createNodeTransport } from '../http2/node-http2.js';
import type { ServedStream, StreamHandler, Transport } from '../http2/transport.js';
import { AuthService } from './auth.js';
import { guarded } from './auth-guard.js';
import { ClusterService } from './cluster.js';
import { ElectionService } from './election.js';
import { explain } from './errors.js';
import { type Ground, headerOf, idsOf } from './ground.js';
import { KvService } from './kv.js';
import { LeaseService } from './lease.js';
import { WatchService } from './watch.js';
import { LockService } from './lock.js';
import { MaintenanceService } from './maintenance.js';
import { Quota } from './quota.js';

export interface EtcdFaceOptions {
  readonly engine: Engine;
  readonly host: Host;
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
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  readonly refused?: ((reason: string) => void) | undefined;
}

/** etcd's API on connections that speak HTTP/2. */
export interface EtcdFace {
  /** The socket is the face's now, the preface still to be read. */
  serve(socket: Socket): void;
  readonly connections: number;
  drain(graceMs: number): Promise<void>;
}

/** etcd's limit of a request, and what its gRPC layer lets through above that for it to be refused in words. */
const messageBytesMax = 1_572_864 + 524_288;

/** Begins a space that has no history: etcd's first revision is 1, and clients take 0 for "none". */
const firstKey = 'w/etcd/first';
/** Users and roles: beside all namespaces, where no path leads. */
const accessPrefix = 'w/etcd/auth/';

/** @throws {WaymarkError} `invalid` for a quota that is no whole number */
export async function createEtcdFace(options: EtcdFaceOptions): Promise<EtcdFace> {
  const { clock, stopping, engine, namespace = 'etcd', progressNotifyMs = 600_000 } = options;
  validateWholeNumber('etcdQuotaBytes', options.quotaBytes);
  const { identity } = await engine.status();
  const ids = idsOf(identity);
  const quota = new Quota(engine, ids.memberId, options.quotaBytes);
  const header = headerOf(ids);
  const ground: Ground = { ...options, namespace, progressNotifyMs, ids, quota, header };
  const access = await Access.open({ ...options, prefix: accessPrefix });
  const grpc = serveGrpc({
    methods: guarded(methodsFor(ground, access), ground, access),
    bytesMax: messageBytesMax,
    explain,
    clock,
    stopping,
  });
  const transport = createNodeTransport({
    clock,
    refused: options.refused,
    accept: (stream) => (isGrpc(stream) ? grpc(stream) : refuse(stream)),
  });
  return served(transport, access, async () => {
    await begin(engine);
    await quota.follow({ clock, stopping });
  });
}

function methodsFor(ground: Ground, access: Access): Method[] {
  return [
    ...methodsOf(KV, new KvService(ground).handlers),
    ...methodsOf(Watch, new WatchService(ground).handlers),
    ...methodsOf(Lease, new LeaseService(ground).handlers),
    ...methodsOf(Lock, new LockService(ground).handlers),
    ...methodsOf(Election, new ElectionService(ground).handlers),
    ...methodsOf(Cluster, new ClusterService(ground).handlers),
    ...methodsOf(Maintenance, new MaintenanceService(ground).handlers),
    ...methodsOf(Auth, new AuthService(ground, access).handlers),
  ];
}

/** @param ready  what the first connection waits for; where it fails, the next one tries again */
function served(transport: Transport, access: Access, ready: () => Promise<void>): EtcdFace {
  let begun: Promise<void> | true | undefined;
  const start = async (): Promise<void> => {
    try {
      await ready();
      begun = true;
    } catch (error) {
      begun = undefined;
      throw error;
    }
  };
  return {
    serve(socket) {
      if (begun === true) return transport.serve(socket);
      begun ??= start();
      begun.then(
        () => transport.serve(socket),
        () => socket.destroy(),
      );
    },
    get connections() {
      return transport.connections;
    },
    drain: async (graceMs) => {
      await transport.drain(graceMs);
      await access[Symbol.asyncDispose]();
    },
  };
}

async function begin(engine: Engine): Promise<void> {
  const when = [{ key: firstKey, target: 'version', is: '=', to: 0 }] as const;
  const { revision } = await engine.status();
  if (revision === 0)
    await engine.commit({ when, apply: [{ type: 'put', key: firstKey, value: '' }] });
}

function refuse(stream: ServedStream): StreamHandler {
  stream.respond([[':status', '415']], true);
  return { data() {}, ended() {}, drained() {}, closed() {} };
}
