import swagger from '@fastify/swagger';
import { fastify, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { limits, type Space, WaymarkError } from 'waymark';
import type { Engine, Host } from 'waymark/engine';
import type { Metrics } from '../metrics.js';
import { backupRoute } from './backup.js';
import { keyRoutes } from './keys.js';
import { lockRoutes } from './locks.js';
import { sendProblem } from './problem.js';
import { spaceRoutes } from './spaces.js';
import { watchRoutes } from './watch.js';

export interface AppParts {
  readonly engine: Engine;
  readonly host: Host;
  readonly space: Space;
  readonly metrics: Metrics;
  readonly logger: FastifyBaseLogger;
  /** Host names that requests may carry; null for any. Guards a loopback server against DNS rebinding. */
  readonly hosts: ReadonlySet<string> | null;
  readonly allowBackup: boolean;
  readonly version: string;
  readonly headersMs: number;
  readonly requestMs: number;
  readonly ready: () => boolean;
}

/** The REST face: one schema per route gives its checks and its place in the OpenAPI document. */
export async function createApp(parts: AppParts): Promise<FastifyInstance> {
  const { space, host, metrics } = parts;
  const app = fastify({
    loggerInstance: parts.logger,
    disableRequestLogging: true,
    bodyLimit: limits.requestBytesMax,
    requestTimeout: parts.requestMs,
    http: { headersTimeout: parts.headersMs, connectionsCheckingInterval: 1_000 },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 8_192 },
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false } },
  });
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Waymark', version: parts.version } },
  });
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => {
    sendProblem(new WaymarkError('not_found', `no route ${request.method} ${request.url}`), request, reply);
  });
  if (parts.hosts !== null) guardHost(app, parts.hosts);
  measure(app, metrics);
  await app.register(async (keys) => keyRoutes(keys, space));
  watchRoutes(app, space);
  spaceRoutes(app, space, host);
  lockRoutes(app, host);
  operations(app, parts);
  if (parts.allowBackup) backupRoute(app, parts.engine);
  await app.ready();
  return app;
}

function operations(app: FastifyInstance, parts: AppParts): void {
  const tags = ['operations'];
  app.get('/', { schema: { tags } }, async (_request, reply) =>
    reply.type('text/plain; charset=utf-8').send(frontPage(parts.version)),
  );
  app.get('/healthz', { schema: { tags } }, async () => ({ ok: true }));
  app.get('/readyz', { schema: { tags } }, async () => {
    if (!parts.ready()) throw new WaymarkError('unavailable', 'the server is stopping');
    return { ok: true, ...(await parts.host.status()) };
  });
  app.get('/metrics', { schema: { tags } }, async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await parts.metrics.print()),
  );
  app.get('/openapi.json', { schema: { tags } }, async () => app.swagger());
}

function guardHost(app: FastifyInstance, hosts: ReadonlySet<string>): void {
  app.addHook('onRequest', async (request) => {
    const name = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    if (name === '' || hosts.has(name)) return;
    throw new WaymarkError('denied', `this server answers for ${[...hosts].join(', ')}, not for '${name}'`);
  });
}

function measure(app: FastifyInstance, metrics: Metrics): void {
  const seconds = metrics.histogram('waymark_http_request_seconds', 'Time from request to answer, by route and status.');
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    seconds.observe(labels, reply.elapsedTime / 1_000);
  });
}

function frontPage(version: string): string {
  return `Waymark ${version}

PUT    /v1/ns/default/keys/orders/42        write a value (the body)
GET    /v1/ns/default/keys/orders/42        read it
GET    /v1/ns/default/watch/orders?tree     watch all below, as server-sent events

/openapi.json  /healthz  /readyz  /metrics
`;
}
