import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { type Space, WaymarkError } from 'waymark';
import { barrierCalls, type LeaseId } from 'waymark/engine';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { leaseId, toldLeaseId } from './lease-id.js';
import { type HoldParts, keepAlive } from './request-lease.js';

/**
 * Barriers for those without a client library. A place lives by a lease: the caller's, or with `ttlMs` a new one that is kept while the request
 * waits, and for a double barrier is the caller's to renew from then on. A repeated POST with the same id and lease
 * finds its place, or learns that it passed.
 */

const parties = Type.Integer({ minimum: 1, maximum: 100 });
const id = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
const waitMs = Type.Optional(
  Type.Integer({ minimum: 0, maximum: 600_000, description: 'default 10 minutes' }),
);
const waitMsMax = 600_000;

const arriveBody = Type.Object(
  {
    parties,
    double: Type.Optional(Type.Boolean({ description: 'enter a double barrier' })),
    lease: Type.Optional(leaseId('the lease the place ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    waitMs,
    owner: Type.Optional(Type.String({ maxLength: 256 })),
    id: Type.Optional(id),
  },
  { additionalProperties: false },
);

interface ArriveBody {
  readonly parties: number;
  readonly double?: boolean;
  readonly lease?: LeaseId;
  readonly ttlMs?: number;
  readonly waitMs?: number;
  readonly owner?: string;
  readonly id?: string;
}

const statusQuery = Type.Object({
  parties: Type.Optional(parties),
  double: Type.Optional(Type.Boolean()),
});

const leaveQuery = Type.Object({
  id,
  generation: Type.Integer({ minimum: 1, description: 'the one it entered with' }),
  waitMs,
});

const party = Type.Object({
  owner: Type.String(),
  since: Type.Integer({ description: 'the revision at which it came' }),
  lease: toldLeaseId(),
});

const barrierAnswers = {
  passed: {
    200: Type.Object({
      path: Type.String(),
      generation: Type.Integer({ description: 'how often it has passed with this' }),
      id: Type.String({ description: 'double: leaving takes it' }),
      lease: Type.Optional(toldLeaseId('double: the place inside goes with it')),
      ttlMs: Type.Optional(Type.Number()),
    }),
  },
  status: {
    200: Type.Object({
      parties: Type.Integer(),
      generation: Type.Integer(),
      waiting: Type.Array(party),
      inside: Type.Array(party),
      missing: Type.Integer({ description: 'how many must come yet' }),
      revision: Type.Integer(),
    }),
  },
  left: { 200: Type.Object({ left: Type.Boolean({ description: 'false: it was not inside' }) }) },
};

const tags = ['barriers'];

export function barrierRoutes(app: FastifyInstance, space: Space, parts: HoldParts): void {
  for (const url of ['/v1/ns/:ns/barriers', '/v1/ns/:ns/barriers/*']) {
    app.get(
      url,
      {
        schema: {
          querystring: statusQuery,
          tags,
          summary: 'who has come, how many are missing',
          response: barrierAnswers.status,
        },
      },
      async (request) => {
        const query = request.query as { parties?: number; double?: boolean };
        const ns = space.namespace(namespaceOf(request));
        const options = { parties: query.parties ?? 1 };
        const path = pathOf(request);
        const barrier =
          query.double === true ? ns.doubleBarrier(path, options) : ns.barrier(path, options);
        return await barrier.status();
      },
    );
    app.post(
      url,
      {
        schema: {
          body: arriveBody,
          tags,
          summary: 'come, and wait for the others',
          response: barrierAnswers.passed,
        },
      },
      async (request, reply) => {
        const gone = goneSignal(reply, parts.stopping);
        const body = request.body as ArriveBody;
        return await arrive(parts, namespaceOf(request), pathOf(request), body, gone);
      },
    );
    app.delete(
      url,
      {
        schema: {
          querystring: leaveQuery,
          tags,
          summary: 'leave a double barrier, and wait for the others',
          response: barrierAnswers.left,
        },
      },
      async (request, reply) => {
        const query = request.query as { id: string; generation: number; waitMs?: number };
        const args = { path: pathOf(request), waitMs: waitMsMax, ...query };
        const signal = goneSignal(reply, parts.stopping);
        const ns = namespaceOf(request);
        return { left: await parts.host.run(barrierCalls.leave, ns, args, { signal }) };
      },
    );
  }
}

/** Comes under the lease given, or under a new one, which goes again unless something stays inside. */
async function arrive(
  parts: HoldParts,
  namespace: string,
  path: string,
  body: ArriveBody,
  gone: AbortSignal,
): Promise<object> {
  const { host, random } = parts;
  if ((body.lease === undefined) === (body.ttlMs === undefined)) {
    const either = 'either lease, one of yours, or ttlMs for a new one';
    throw new WaymarkError('invalid', `a place at a barrier takes ${either}`);
  }
  const own = body.lease === undefined ? await host.grant(body.ttlMs ?? 0) : undefined;
  const lease = own?.id ?? body.lease ?? 0;
  const kind = body.double === true ? 'double' : 'barrier';
  const asked = {
    path,
    kind,
    lease,
    parties: body.parties,
    id: body.id ?? random.id(),
    owner: body.owner ?? `lease ${lease}`,
    session: `lease-${lease}`,
    waitMs: body.waitMs ?? waitMsMax,
  } as const;
  const still = own === undefined ? () => {} : keepAlive(parts.host, parts.clock, own);
  let kept = false;
  try {
    const passed = await host.run(barrierCalls.arrive, namespace, asked, { signal: gone });
    const { generation } = passed;
    if (kind === 'barrier') return { path, generation, id: asked.id };
    if (gone.aborted) await host.run(barrierCalls.stepBack, namespace, asked);
    gone.throwIfAborted();
    // The TTL counts from the answer, however long the wait was.
    if (own !== undefined) await host.renew(own.id);
    kept = true;
    const ttl = own === undefined ? {} : { ttlMs: own.ttlMs };
    return { path, generation, id: asked.id, lease, ...ttl };
  } finally {
    still();
    if (own !== undefined && !kept) await host.revoke(own.id).catch(() => undefined);
  }
}
