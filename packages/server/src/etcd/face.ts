import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { KV } from 'waymark/etcd';
import type { Clock, Engine, Host, Random } from 'waymark/engine';
import { methodsOf } from '../grpc/methods.js';
import { isGrpc, serveGrpc } from '../grpc/serve.js';
import { serveHttp1 } from '../http/http1-stream.js';
import { createNodeTransport } from '../http2/node-http2.js';
import type { ServedStream, StreamHandler, Transport } from '../http2/transport.js';
import { explain } from './errors.js';
import { isGatewayPath } from './gateway/bindings.js';
import { createGateway } from './gateway/gateway.js';
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
  /** Host names that requests in JSON may carry; null for any. */
  readonly hosts: ReadonlySet<string> | null;
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
  drain(graceMs: number): Promise<void>;
}

/** etcd's limit of a request, and what its gRPC layer lets through above that for it to be refused in words. */
const messageBytesMax = 1_572_864 + 524_288;

/** Begins a space that has no history: etcd's first revision is 1, and clients take 0 for "none". */
const firstKey = 'w/etcd/first';

export async function createEtcdFace(options: EtcdFaceOptions): Promise<EtcdFace> {
  const { clock, stopping, engine, namespace = 'etcd' } = options;
  const { identity } = await engine.status();
  const ids = idsOf(identity);
  const ground: Ground = { ...options, namespace, ids, header: headerOf(ids) };
  const grpc = serveGrpc({
    methods: [...methodsOf(KV, new KvService(ground).handlers)],
    bytesMax: messageBytesMax,
    explain,
    clock,
    stopping,
  });
  const gateway = createGateway({ grpc, bytesMax: messageBytesMax, hosts: options.hosts });
  const accept = (stream: ServedStream): StreamHandler => {
    if (isGrpc(stream)) return grpc(stream);
    return isGatewayPath(stream.path) ? gateway(stream) : options.others(stream);
  };
  const transport = createNodeTransport({ clock, refused: options.refused, accept });
  return served(transport, gateway, engine);
}

function served(
  transport: Transport,
  gateway: (stream: ServedStream) => StreamHandler,
  engine: Engine,
): EtcdFace {
  let begun: Promise<unknown> | true | undefined;
  const whenBegun = (serve: () => void, refuse: () => void): void => {
    if (begun === true) return serve();
    begun ??= begin(engine).then(
      () => (begun = true),
      (error: unknown) => {
        begun = undefined;
        throw error;
      },
    );
    begun.then(serve, refuse);
  };
  return {
    answer(request, response) {
      if (!isGatewayPath(request.url ?? '')) return false;
      whenBegun(
        () => serveHttp1(request, response, gateway),
        () => response.destroy(),
      );
      return true;
    },
    serve(socket) {
      whenBegun(
        () => transport.serve(socket),
        () => socket.destroy(),
      );
    },
    get connections() {
      return transport.connections;
    },
    drain: (graceMs) => transport.drain(graceMs),
  };
}

async function begin(engine: Engine): Promise<void> {
  const when = [{ key: firstKey, target: 'version', is: '=', to: 0 }] as const;
  const { revision } = await engine.status();
  if (revision === 0)
    await engine.commit({ when, apply: [{ type: 'put', key: firstKey, value: '' }] });
}
