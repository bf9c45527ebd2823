import type { Socket } from 'node:net';
import { Auth, KV } from 'waymark/etcd';
import type { Clock, Engine, Host, Random } from 'waymark/engine';
import { Access } from '../access/access.js';
import { methodsOf } from '../grpc/methods.js';
import { isGrpc, serveGrpc } from '../grpc/serve.js';
import { createNodeTransport } from '../http2/node-http2.js';
import type { ServedStream, StreamHandler, Transport } from '../http2/transport.js';
import { AuthService } from './auth.js';
import { guarded } from './auth-guard.js';
import { explain } from './errors.js';
import { type Ground, headerOf, idsOf } from './ground.js';
import { KvService } from './kv.js';

export interface EtcdFaceOptions {
  readonly engine: Engine;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  /** Served unless a call names another. Default `etcd`. */
  readonly namespace?: string | undefined;
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

export async function createEtcdFace(options: EtcdFaceOptions): Promise<EtcdFace> {
  const { clock, stopping, engine, namespace = 'etcd' } = options;
  const { identity } = await engine.status();
  const ids = idsOf(identity);
  const ground: Ground = { ...options, namespace, ids, header: headerOf(ids) };
  const access = await Access.open({ ...options, prefix: accessPrefix });
  const methods = [
    ...methodsOf(KV, new KvService(ground).handlers),
    ...methodsOf(Auth, new AuthService(ground, access).handlers),
  ];
  const grpc = serveGrpc({
    methods: guarded(methods, ground, access),
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
  return served(transport, engine, access);
}

function served(transport: Transport, engine: Engine, access: Access): EtcdFace {
  let begun: Promise<unknown> | true | undefined;
  return {
    serve(socket) {
      if (begun === true) return transport.serve(socket);
      begun ??= begin(engine).then(() => (begun = true));
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
