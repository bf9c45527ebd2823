import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { WaymarkError } from 'waymark';
import type { AcquireRequest, HeldKeys, Host, LeaseId, LockMode } from 'waymark/engine';
import { answers } from './answers.js';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { leaseId } from './lease-id.js';
import { type AskedLease, endLease, type HoldParts, underLease } from './request-lease.js';

/**
 * Locks for those without a client library. The hold lives by a lease that the caller renews (`POST /v1/leases/{id}/renew`): one of
 * its own, or with `ttlMs` a new one, which is kept alive while the request waits. The session is that lease. A repeated
 * POST with the same id and lease finds its place in the queue again.
 */

const lockBody = Type.Object(
  {
    lease: Type.Optional(leaseId('the lease the hold ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    tree: Type.Optional(Type.Boolean()),
    mode: Type.Optional(Type.Union([Type.Literal('exclusive'), Type.Literal('shared')])),
    waitMs: Type.Optional(
      Type.Number({ minimum: 0, maximum: 600_000, description: 'default 0: only if it is free' }),
    ),
    owner: Type.Optional(Type.String({ maxLength: 256 })),
    id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })),
  },
  { additionalProperties: false },
);

interface LockBody extends AskedLease {
  readonly tree?: boolean;
  readonly mode?: LockMode;
  readonly waitMs?: number;
  readonly owner?: string;
  readonly id?: string;
}

const convertBody = Type.Object(
  {
    mode: Type.Union([Type.Literal('exclusive'), Type.Literal('shared')], {
      description: 'what it is to become',
    }),
    waitMs: Type.Optional(
      Type.Number({ minimum: 0, maximum: 600_000, description: 'for other holders; default 0' }),
    ),
  },
  { additionalProperties: false },
);

const holdQuery = Type.Object({
  tree: Type.Optional(Type.Boolean()),
  mode: Type.Optional(Type.Union([Type.Literal('exclusive'), Type.Literal('shared')])),
  id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })),
  lease: Type.Optional(Type.Integer({ minimum: 1, description: 'release: ends this lease too' })),
});

const tags = ['locks'];

export function lockRoutes(app: FastifyInstance, parts: HoldParts): void {
  const { host } = parts;
  for (const url of ['/v1/ns/:ns/locks', '/v1/ns/:ns/locks/*']) {
    app.get(
      url,
      {
        schema: {
          querystring: holdQuery,
          tags,
          summary: 'who holds, who waits',
          response: answers.explanation,
        },
      },
      async (request) => {
        const { tree, mode } = heldOf(request);
        return await host.explain(namespaceOf(request), { path: pathOf(request), tree, mode });
      },
    );

    app.post(
      url,
      { schema: { body: lockBody, tags, summary: 'take a lock', response: answers.lock } },
      async (request, reply) => {
        const body = request.body as LockBody;
        return await take(
          parts,
          namespaceOf(request),
          pathOf(request),
          body,
          goneSignal(reply, parts.stopping),
        );
      },
    );

    holdRoutes(app, url, parts);
  }
  forceUnlockRoutes(app, host);
}

/** What is done with a hold that stands. */
function holdRoutes(app: FastifyInstance, url: string, parts: HoldParts): void {
  const { host } = parts;
  app.patch(
    url,
    {
      schema: {
        querystring: holdQuery,
        body: convertBody,
        tags,
        summary: 'change the mode',
        response: answers.converted,
      },
    },
    async (request, reply) => {
      const { mode, waitMs = 0 } = request.body as { mode: LockMode; waitMs?: number };
      const signal = goneSignal(reply, parts.stopping);
      const hold = holdOf(request);
      const to = { mode, waitMs };
      const token = await host.convert(namespaceOf(request), hold, to, { signal });
      return { ...hold, mode, token };
    },
  );

  app.delete(
    url,
    { schema: { querystring: holdQuery, tags, summary: 'release', response: answers.released } },
    async (request) => {
      const hold = holdOf(request);
      const released = await host.release(namespaceOf(request), hold);
      const { lease } = request.query as { lease?: LeaseId };
      if (lease !== undefined) await endLease(host, lease);
      return { released };
    },
  );
}

function forceUnlockRoutes(app: FastifyInstance, host: Host): void {
  const reason = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1_000 }) });
  for (const url of ['/v1/ns/:ns/force-unlock', '/v1/ns/:ns/force-unlock/*']) {
    app.post(
      url,
      {
        schema: {
          body: reason,
          tags,
          summary: 'take locks away; audited',
          response: answers.ended,
        },
      },
      async (request) => {
        const body = request.body as { reason: string };
        return {
          ended: await host.forceUnlock(namespaceOf(request), pathOf(request), body.reason),
        };
      },
    );
  }
}

async function take(
  parts: HoldParts,
  namespace: string,
  path: string,
  body: LockBody,
  gone: AbortSignal,
): Promise<object> {
  const { id = parts.random.id(), tree = false, mode = 'exclusive', waitMs = 0 } = body;
  const hold = { id, path, tree, mode };
  const giveBack = (): Promise<unknown> => parts.host.release(namespace, hold);
  const cutOff = { gone, findable: body.id !== undefined, giveBack };
  const { taken: token, under } = await underLease(parts, body, cutOff, (lease, signal) => {
    const { owner = `lease ${lease}` } = body;
    const wanted = { ...hold, lease, owner, session: `lease-${lease}`, waitMs };
    return acquire(parts.host, namespace, wanted, signal);
  });
  return { path, tree, mode, id, token, ...under };
}

/** @throws {WaymarkError} `locked` when it is not free and nothing may wait */
async function acquire(
  host: Host,
  namespace: string,
  wanted: AcquireRequest,
  signal: AbortSignal,
): Promise<number> {
  const token = await host.acquire(namespace, wanted, { signal });
  if (token !== null) return token;
  const { holders, summary } = await host.explain(namespace, wanted);
  const [holder] = holders;
  throw new WaymarkError('locked', summary, {
    path: wanted.path,
    holder: holder?.owner,
    token: holder?.token,
  });
}

/** The hold that a request names. */
function holdOf(request: FastifyRequest): HeldKeys {
  const hold = { ...heldOf(request), path: pathOf(request) };
  if (hold.id !== '') return hold;
  throw new WaymarkError('invalid', 'name the hold by the ?id= the lock was taken with');
}

function heldOf(request: FastifyRequest): HeldKeys {
  const { tree = false, mode = 'exclusive', id = '' } = request.query as Partial<HeldKeys>;
  return { path: '/', tree, mode, id };
}
