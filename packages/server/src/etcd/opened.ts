import type { Engine } from 'waymark/engine';
import { Auth, Cluster, Election, KV, Lease, Lock, Maintenance, Watch } from 'waymark/etcd';
import type { Access } from '../access/access.js';
import { type Method, methodsOf } from '../grpc/methods.js';
import { isGrpc, serveGrpc } from '../grpc/serve.js';
import { http2Layers } from '../http2/layers.js';
import type { ServedStream, StreamHandler, Transport } from '../http2/transport.js';
import { AuthService } from './auth.js';
import { guarded } from './auth-guard.js';
import { ClusterService } from './cluster.js';
import { requestBytesMax } from './commit.js';
import { ElectionService } from './election.js';
import { explain } from './errors.js';
import type { EtcdFaceOptions } from './face.js';
import { createGateway } from './gateway/gateway.js';
import { isGatewayPath } from './gateway/paths.js';
import { type Ground, headerOf, idsOf } from './ground.js';
import { KvService } from './kv.js';
import { LeaseService } from './lease.js';
import { LockService } from './lock.js';
import { MaintenanceService } from './maintenance.js';
import { putCodec } from './put-bytes.js';
import { Quota } from './quota.js';
import { WatchService } from './watch.js';

/** etcd's limit of a request, and what its gRPC layer lets through above that for it to be refused in words. */
const messageBytesMax = requestBytesMax + 524_288;

/** Begins a space that has no history: etcd's first revision is 1, and clients take 0 for "none". */
const firstKey = 'w/etcd/first';

/** What stands from the first connection on. */
export interface Opened {
  readonly transport: Transport;
  readonly gateway: (stream: ServedStream) => StreamHandler;
  readonly quota: Quota;
}

export async function openFace(options: EtcdFaceOptions): Promise<Opened> {
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
