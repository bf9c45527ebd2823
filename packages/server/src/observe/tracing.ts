import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isTraced, traceContextOf, type Tracing } from 'waymark/engine';
import type { ServeOptions } from 'waymark/wire';
import type { Call } from '../grpc/call.js';
import type { Method } from '../grpc/methods.js';

/** Each call over the binary protocol a span, beneath that of its client where there is one. */
export function tracedCalls(tracing: Tracing): NonNullable<ServeOptions['traced']> {
  return ({ name }, parent, run) =>
    isTraced(name) ? tracing.span(`waymark.${name}`, { kind: 'server', parent }, run) : run();
}

/** Each call of etcd's API a span that is one question and one answer, beneath what its metadata tells. */
export function tracedMethods(tracing: Tracing, methods: readonly Method[]): readonly Method[] {
  return methods.map((method): Method => {
    if (method.kind !== 'unary') return method;
    const { handle, path } = method;
    const attributes = { 'rpc.system': 'grpc', 'rpc.method': path.slice(1) };
    const traced = async (request: unknown, call: Call): Promise<unknown> => {
      const parent = traceContextOf(call.metadata('traceparent'), call.metadata('tracestate'));
      const work = async (): Promise<unknown> => handle(request, call);
      return await tracing.span(path.slice(1), { kind: 'server', parent, attributes }, work);
    };
    return { ...method, handle: traced };
  });
}

/** Each request over HTTP a span, from when it was read whole to its answer. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.addHook('preHandler', (request, reply, begin) => {
    const parent = traceContextOf(header(request, 'traceparent'), header(request, 'tracestate'));
    const { url: route = 'none' } = request.routeOptions;
    const attributes = { 'http.request.method': request.method, 'http.route': route };
    const name = `${request.method} ${route}`;
    const answered = new Promise<void>((resolve, reject) => {
      reply.raw.once('close', () => {
        const { statusCode } = reply;
        if (statusCode < 500) resolve();
        else reject(new Error(`answered with ${statusCode}`));
      });
    });
    const span = tracing.span(name, { kind: 'server', parent, attributes }, () => {
      begin();
      return answered;
    });
    span.catch(() => undefined);
  });
}

function header({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}
