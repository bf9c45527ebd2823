import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import swagger from '@fastify/swagger';
import {
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import { limits, type Space, WaymarkError } from 'waymark';
import type { Cluster } from 'waymark/cluster';
import type { Clock, Engine, Host, Random, Tracing } from 'waymark/engine';
import { consoleRoutes } from '../console/routes.js';
import { publish } from '../observe/channels.js';
import { traceRequests } from '../observe/tracing.js';
import type { Metrics } from '../metrics.js';
import type { Access } from '../access/access.js';
import { accessRoutes } from './access.js';
import { admitted, bodyTurns, type HttpAdmission, inTurn } from './admitted.js';
import { problem, problemAnswer } from './answers.js';
import { backupRoute } from './backup.js';
import { barrierRoutes } from './barriers.js';
import type { Callers } from './callers.js';
import { clusterRoutes } from './cluster.js';
import { counterRoutes } from './counters.js';
import { cursorRoutes, ReaderCursors } from './cursors.js';
import { electionRoutes } from './elections.js';
import { groupRoutes } from './groups.js';
import { inUseRoutes } from './in-use.js';
import { keyRoutes } from './keys.js';
import { linger } from './linger.js';
import { lockRoutes } from './locks.js';
import { logRoutes } from './logs.js';
import { memberRoutes } from './members.js';
import { nameRoutes } from './names.js';
import { onceRoutes } from './once.js';
import { frontPage, type OperationParts, operationRoutes } from './operations.js';
import { requestIdOf } from './request-id.js';
import { askedBy, checkOrigin } from './origin.js';
import { refuseMalformed, sendProblem, toWaymarkError } from './problem.js';
import { compileCheck } from './schema-check.js';
import { semaphoreRoutes } from './semaphores.js';
import { spaceRoutes } from './spaces.js';
import { stashRoutes } from './stash.js';
import { StreamCount, type WatchParts } from './streams.js';
import { shownUrl, verb } from './verb.js';
import { watchRoutes } from './watch.js';
import { watcherRoutes } from './watchers.js';

export interface AppParts extends OperationParts, HttpAdmission {
  readonly engine: Engine;
  /** What the engine is a member of, if it is. */
  readonly cluster: Cluster | undefined;
  readonly access: Access;
  readonly callers: Callers;
  /** As the caller of a request may use them. */
  readonly host: Host;
  readonly space: Space;
  readonly logger: FastifyBaseLogger;
  /** Host names that requests may carry; null for any. Guards a loopback server against DNS rebinding. */
  readonly hosts: ReadonlySet<string> | null;
  /** Answers what is not REST. @returns whether it did */
  readonly before: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly allowBackup: boolean;
  readonly headersMs: number;
  readonly requestMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Null where nobody traces. */
  readonly tracing: Tracing | null;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  readonly streamsMax: number;
  readonly heartbeatMs: number;
}

/** The REST face: one schema per route gives its checks and its place in the OpenAPI document. */
export async function createApp(
  parts: AppParts,
): Promise<{ app: FastifyInstance; watches: WatchParts }> {
  const { space, host, metrics } = parts;
  const app = bareApp(parts);
  const errors = metrics.counter(
    'waymark_http_errors_total',
    'Answers that are problems, by code.',
  );
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Waymark', version: parts.version } },
    transform: ({ schema, url, route }) => ({ schema, url: shownUrl(url, route) }),
    refResolver: { buildLocalReference: (json) => String(json['$id']) },
  });
  app.addSchema(problem);
  app.addHook('onRoute', (route) => {
    const response = (route.schema?.response ?? {}) as object;
    route.schema = { ...route.schema, response: { ...response, ...problemAnswer } };
  });
  app.setErrorHandler((error, request, reply) => {
    errors.add({ code: toWaymarkError(error).code });
    sendProblem(error, request, reply);
  });
  app.setNotFoundHandler((request, reply) => {
    sendProblem(
      new WaymarkError('not_found', `no route ${request.method} ${request.url}`),
      request,
      reply,
    );
  });
  app.addHook('onRequest', async (request) => checkOrigin(askedBy(request.raw), parts.hosts));
  parts.callers.guard(app);
  bodyTurns(app, parts);
  app.addHook('onSend', async (request, reply) => {
    void reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
    if (parts.stopping.aborted) void reply.header('connection', 'close');
    if (reply.getHeader('connection') === 'close') linger(request.raw, parts.clock);
  });
  measure(app, metrics);
  if (parts.tracing !== null) traceRequests(app, parts.tracing);
  const { clock, stopping, heartbeatMs } = parts;
  const watches = {
    space,
    clock,
    stopping,
    heartbeatMs,
    streams: new StreamCount(parts.streamsMax),
    cursors: new ReaderCursors(parts.engine),
  };
  await app.register(async (keys) => keyRoutes(keys, watches));
  await app.register(async (stash) => stashRoutes(stash, space));
  watchRoutes(app, watches);
  cursorRoutes(app, watches.cursors);
  spaceRoutes(app, space, host);
  recipeRoutes(app, parts, watches);
  accessRoutes(app, parts.access);
  operationRoutes(app, parts);
  await consoleRoutes(app, frontPage(parts.version));
  if (parts.cluster !== undefined) clusterRoutes(app, parts.cluster);
  if (parts.allowBackup) backupRoute(app, parts.engine, parts.callers);
  await app.ready();
  return { app, watches };
}

/** Fastify's own are loaded only where none are given so: they take as long as all routes. Its types know those alone. */
const compilersFactory = {
  buildValidator: () => compileCheck,
  buildSerializer: () => () => (data: unknown) => JSON.stringify(data),
} as unknown as NonNullable<
  NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
>;

function bareApp(parts: AppParts): FastifyInstance {
  const requestId = requestIdOf(parts.random);
  return fastify({
    loggerInstance: parts.logger,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'requestId',
    }),
    bodyLimit: limits.requestBytesMax,
    requestTimeout: parts.requestMs,
    serverFactory: (handler) => {
      const rest = admitted({ ...parts, requestId }, handler);
      return createServer(
        {
          requestTimeout: parts.requestMs,
          headersTimeout: parts.headersMs,
          keepAliveTimeout: 72_000,
          connectionsCheckingInterval: 1_000,
        },
        inTurn(
          (request, response) => void (parts.before(request, response) || rest(request, response)),
        ),
      );
    },
    exposeHeadRoutes: false,
    schemaController: { compilersFactory },
    genReqId: requestId,
    clientErrorHandler: refuseMalformed,
    frameworkErrors: sendProblem,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 8_192, constraints: { verb } },
  });
}

function recipeRoutes(app: FastifyInstance, parts: AppParts, watches: WatchParts): void {
  lockRoutes(app, parts);
  electionRoutes(app, parts, watches);
  memberRoutes(app, parts.host, watches);
  groupRoutes(app, watches);
  semaphoreRoutes(app, parts);
  logRoutes(app, watches);
  nameRoutes(app, parts, watches);
  counterRoutes(app, parts.space, parts.stopping);
  barrierRoutes(app, parts.space, parts);
  onceRoutes(app, parts.space);
  inUseRoutes(app, parts.host);
  watcherRoutes(app, watches);
}

function measure(app: FastifyInstance, metrics: Metrics): void {
  const seconds = metrics.histogram(
    'waymark_http_request_seconds',
    'Time from request to answer, by route and status.',
  );
  let underWay = 0;
  const help = 'Requests that are not answered yet; event streams are for as long as they last.';
  metrics.gauge('waymark_http_requests_under_way', help, () => underWay);
  app.addHook('onRequest', async (_request, reply) => {
    underWay++;
    reply.raw.once('close', () => underWay--);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    if (reply.raw.getHeader('content-type') === 'text/event-stream') return;
    const { elapsedTime: tookMs } = reply;
    seconds.observe(labels, tookMs / 1_000);
    publish('request', () => ({ ...labels, requestId: request.id, tookMs }));
    request.log.debug({ ...labels, ms: Math.round(tookMs) }, 'answered');
  });
}
