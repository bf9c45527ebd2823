import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { WaymarkError } from 'waymark';
import { type LeaseId, limits, semaphoreCalls as calls } from 'waymark/engine';
import { answers } from './answers.js';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { leaseId } from './lease-id.js';
import { type AskedLease, endLease, type HoldParts, underLease } from './request-lease.js';

/** Semaphores for those without a client library: permits live by a lease, as locks do. */

const whole = (description: string): ReturnType<typeof Type.Integer> =>
  Type.Integer({ minimum: 1, maximum: limits.semaphoreLimitMax, description });
const id = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });

const permitBody = Type.Object(
  {
    lease: Type.Optional(leaseId('the lease the permit ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    weight: Type.Optional(whole('default 1')),
    limit: Type.Optional(whole('the first request stores it; left out, the stored one counts')),
    waitMs: Type.Optional(
      Type.Number({ minimum: 0, maximum: 600_000, description: 'default 0: only if it fits now' }),
    ),
    owner: Type.Optional(Type.String({ maxLength: 256 })),
    id: Type.Optional(id),
  },
  { additionalProperties: false },
);

interface PermitBody extends AskedLease {
  readonly weight?: number;
  readonly limit?: number;
  readonly waitMs?: number;
  readonly owner?: string;
  readonly id?: string;
}

const resizeBody = Type.Object(
  { limit: whole('below what is in use, nobody enters until it fits') },
  { additionalProperties: false },
);

const weightQuery = Type.Object({
  weight: Type.Optional(whole('of the request whose chances are told; default 1')),
});

const endQuery = Type.Object({
  id: Type.Optional(id),
  lease: Type.Optional(Type.Integer({ minimum: 1, description: 'release: ends this lease too' })),
});

const tags = ['semaphores'];
const partiesMax = 1_000;

export function semaphoreRoutes(app: FastifyInstance, parts: HoldParts): void {
  for (const url of ['/v1/ns/:ns/semaphores', '/v1/ns/:ns/semaphores/*']) {
    takeRoute(app, url, parts);
    stateRoutes(app, url, parts);
    app.delete(
      url,
      {
        schema: {
          querystring: endQuery,
          tags,
          summary: 'release a permit',
          response: answers.released,
        },
      },
      async (request) => {
        const query = request.query as { id?: string; lease?: LeaseId };
        if (query.id === undefined) {
          throw new WaymarkError('invalid', 'name the permit by the ?id= it was taken with');
        }
        const args = { id: query.id, path: pathOf(request) };
        const released = await parts.host.run(calls.release, namespaceOf(request), args);
        if (query.lease !== undefined) await endLease(parts.host, query.lease);
        return { released };
      },
    );
  }
}

function takeRoute(app: FastifyInstance, url: string, parts: HoldParts): void {
  app.post(
    url,
    { schema: { body: permitBody, tags, summary: 'take a permit', response: answers.permit } },
    async (request, reply) => {
      const gone = goneSignal(reply, parts.stopping);
      const body = request.body as PermitBody;
      return await take(parts, namespaceOf(request), pathOf(request), body, gone);
    },
  );
}

/** What is asked of the semaphore itself. */
function stateRoutes(app: FastifyInstance, url: string, { host }: HoldParts): void {
  app.get(
    url,
    {
      schema: {
        querystring: weightQuery,
        tags,
        summary: 'who holds permits, who waits, and why not you',
        response: answers.semaphore,
      },
    },
    async (request) => {
      const { weight = 1 } = request.query as { weight?: number };
      const path = pathOf(request);
      const args = { path, weight, parties: partiesMax };
      const told = await host.run(calls.explain, namespaceOf(request), args);
      if (told !== null) return told;
      throw new WaymarkError('not_found', `there is no semaphore ${path}`, { path });
    },
  );

  app.patch(
    url,
    { schema: { body: resizeBody, tags, summary: 'change the limit', response: answers.resized } },
    async (request) => {
      const { limit } = request.body as { limit: number };
      const args = { path: pathOf(request), limit };
      return { limit, revision: await host.run(calls.resize, namespaceOf(request), args) };
    },
  );

  const forget = url.replace('semaphores', 'forget-semaphore');
  app.post(
    forget,
    {
      schema: {
        tags,
        summary: 'forget the limit of a semaphore that nobody uses',
        response: answers.removed,
      },
    },
    async (request) => {
      const removed = await host.run(calls.remove, namespaceOf(request), { path: pathOf(request) });
      return { removed };
    },
  );
}

async function take(
  parts: HoldParts,
  namespace: string,
  path: string,
  body: PermitBody,
  gone: AbortSignal,
): Promise<object> {
  const { host } = parts;
  const { id = parts.random.id(), weight = 1, limit, waitMs = 0 } = body;
  const giveBack = (): Promise<unknown> => host.run(calls.release, namespace, { id, path });
  const cutOff = { gone, findable: body.id !== undefined, giveBack };
  const { taken: token, under } = await underLease(parts, body, cutOff, async (lease, signal) => {
    const { owner = `lease ${lease}` } = body;
    const session = `lease-${lease}`;
    const wanted = { id, path, weight, limit, lease, owner, session, waitMs };
    const entered = await host.run(calls.acquire, namespace, wanted, { signal });
    if (entered !== null) return entered;
    const told = await host.run(calls.explain, namespace, { path, weight, parties: 0 });
    throw new WaymarkError('exhausted', told?.summary ?? `${path} is full`, { path });
  });
  return { path, weight, id, token, ...under };
}
