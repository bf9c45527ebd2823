import type { FastifyInstance } from 'fastify';
import { WaymarkError } from 'waymark';
import type { Metrics } from '../metrics.js';
import type { Readiness } from '../observe/readiness.js';
import { statusOf, type StatusParts } from '../observe/server-status.js';
import type { Callers } from './callers.js';
import { answers } from './answers.js';
import { problemOf } from './problem.js';

export interface OperationParts {
  readonly metrics: Metrics;
  readonly version: string;
  readonly readiness: Readiness;
  readonly callers: Callers;
  readonly status: Omit<StatusParts, 'version'>;
}

/** What is asked by those who run a server: is it well, what does it do, what can be asked of it. */
export function operationRoutes(app: FastifyInstance, parts: OperationParts): void {
  const tags = ['operations'];
  app.get('/healthz', { schema: { tags, response: answers.healthy } }, async () => ({ ok: true }));
  readyRoute(app, parts);
  app.get('/v1/status', { schema: { tags, response: answers.serverStatus } }, async () =>
    statusOf({ ...parts.status, version: parts.version }),
  );
  app.get('/metrics', { schema: { tags, response: answers.text } }, async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await parts.metrics.print()),
  );
  app.get('/openapi.json', { schema: { tags, response: answers.document } }, async () =>
    app.swagger(),
  );
}

function readyRoute(app: FastifyInstance, { readiness, callers }: OperationParts): void {
  const schema = { tags: ['operations'], response: answers.ready as object };
  app.get('/readyz', { schema }, async (request, reply) => {
    const { ok, checks, status } = await readiness.look();
    // Who may not look at the server learns that it is well, and no more.
    if (!callers.current.caller.observes) return await reply.code(ok ? 200 : 503).send({ ok });
    if (ok) return { ok, checks, ...status };
    const failed = checks.filter((check) => !check.ok);
    const why = failed.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
    const problem = new WaymarkError('unavailable', `not ready: ${why}`, { retryAfterMs: 1_000 });
    const told = JSON.parse(problemOf(problem, request.id)) as object;
    return await reply
      .code(503)
      .header('content-type', 'application/problem+json')
      .header('retry-after', '1')
      .send({ ...told, ok, checks });
  });
}

/** Of a server that has no console, and for those who ask for text. */
export function frontPage(version: string): string {
  return `Waymark ${version}

PUT    /v1/ns/default/keys/orders/42        write a value (the body)
GET    /v1/ns/default/keys/orders/42        read it
GET    /v1/ns/default/watch/orders?tree     watch all below, as server-sent events

/openapi.json  /healthz  /readyz  /metrics  /v1/status
`;
}
