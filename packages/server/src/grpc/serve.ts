import type { Duplex } from 'node:stream';
import type { Clock } from 'waymark/engine';
import type { Admission } from 'waymark/wire';
import type { ServedStream, StreamHandler } from '../http2/transport.js';
import { Conversation } from './conversation.js';
import type { Method } from './methods.js';
import { ServedCall } from './served-call.js';
import { grpcCode, GrpcError } from './status.js';
import { rateRefusal, UnaryCall } from './unary.js';

export interface GrpcOptions {
  readonly methods: readonly Method[];
  /** Of one message that a client sends. */
  readonly bytesMax: number;
  readonly explain: (error: unknown) => GrpcError;
  readonly clock: Clock;
  /** Bounds the work under way; conversations have bounds of their own. */
  readonly admission?: Admission | undefined;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex, token?: string) => Error | null) | undefined;
  /** Aborts when the server stops: conversations end then. */
  readonly stopping: AbortSignal;
}

/** Answers gRPC calls: what a transport's `accept` hands on. */
export function serveGrpc(options: GrpcOptions): (stream: ServedStream) => StreamHandler {
  const methods = new Map(options.methods.map((method) => [method.path, method]));
  const services = new Set(options.methods.map(({ path }) => serviceOf(path)));
  const { clock, stopping, explain, bytesMax, admission, spend } = options;
  return (stream) => {
    const call = new ServedCall(stream, clock, stopping);
    const method = methods.get(stream.path);
    const parts = { call, bytesMax, explain, admission, spend };
    if (method?.kind === 'unary') return new UnaryCall(method, parts);
    if (method?.kind === 'stream') {
      const refusal = rateRefusal(method, parts);
      if (refusal === null) return new Conversation(method, parts);
      call.fail(explain(refusal));
      return over;
    }
    call.fail(new GrpcError(grpcCode.unimplemented, unknown(stream.path, services)));
    return over;
  };
}

export function isGrpc(stream: ServedStream): boolean {
  return stream.header('content-type')?.startsWith('application/grpc') === true;
}

const over: StreamHandler = { data() {}, ended() {}, drained() {}, closed() {} };

function serviceOf(path: string): string {
  return path.slice(1, path.lastIndexOf('/'));
}

/** In the words of grpc-go, by which clients tell an old server. */
function unknown(path: string, services: ReadonlySet<string>): string {
  const service = serviceOf(path);
  const method = path.slice(path.lastIndexOf('/') + 1);
  return services.has(service)
    ? `unknown method ${method} for service ${service}`
    : `unknown service ${service}`;
}
