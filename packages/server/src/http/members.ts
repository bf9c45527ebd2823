import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isWaymarkError, WaymarkError } from 'waymark';
import { type Host, joinGroup, type LeaseId, leaveGroup, updateMember } from 'waymark/engine';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { isSet } from './keys.js';
import { leaseId, toldLeaseId } from './lease-id.js';
import { streamWatch } from './sse.js';
import type { WatchParts } from './streams.js';

/**
 * Members of a group for those without a client library. A membership lives by a lease that the caller renews (`POST
 * /v1/leases/{id}/renew`): one of its own, or with `ttlMs` a new one. Joining again with the same id and lease finds the membership.
 */

const tags = ['members'];
const revision = Type.Integer({ minimum: 0 });

const told = {
  address: Type.Optional(Type.String({ description: 'where others reach it; at most 512 bytes' })),
  meta: Type.Optional(Type.Unknown({ description: 'what it tells of itself; at most 16 KiB' })),
};

const joinBody = Type.Object(
  {
    id: Type.String({ minLength: 1, description: 'unique in its group; at most 128 bytes' }),
    lease: Type.Optional(leaseId('the lease the membership ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    owner: Type.Optional(Type.String({ maxLength: 256 })),
    ...told,
  },
  { additionalProperties: false },
);

interface JoinBody extends Told {
  readonly id: string;
  readonly lease?: LeaseId;
  readonly ttlMs?: number;
  readonly owner?: string;
}

interface Told {
  readonly address?: string;
  readonly meta?: unknown;
}

const memberQuery = Type.Object({
  id: Type.String({ minLength: 1 }),
  incarnation: Type.Integer({ minimum: 1, description: 'as the join answered it' }),
  lease: Type.Optional(leaseId('leave: ends this lease too')),
});

interface MemberQuery {
  readonly id: string;
  readonly incarnation: number;
  readonly lease?: LeaseId;
}

const listQuery = Type.Object({
  watch: Type.Optional(Type.String({ description: 'every view, as server-sent events' })),
});

const member = Type.Object({
  id: Type.String(),
  incarnation: Type.Integer({ description: 'grows with every join of an id' }),
  owner: Type.String(),
  address: Type.Union([Type.String(), Type.Null()]),
  meta: Type.Unknown(),
  revision,
  lease: toldLeaseId(),
});

const view = Type.Object({
  epoch: Type.Integer({ description: 'the view with the greater one is not the older' }),
  members: Type.Array(member),
  leader: Type.Union([Type.Object({ id: Type.String(), term: revision }), Type.Null()]),
});

const answers = {
  view: {
    200: {
      description: 'who is there and who leads; with `watch`, every view of it',
      content: {
        'application/json': { schema: view },
        'text/event-stream': { schema: { type: 'string' } },
      },
    },
  },
  joined: {
    200: Type.Object({
      path: Type.String(),
      id: Type.String(),
      incarnation: Type.Integer(),
      lease: toldLeaseId(),
      ttlMs: Type.Optional(Type.Number()),
    }),
  },
  updated: { 200: Type.Object({ revision }) },
  left: { 200: Type.Object({ left: Type.Boolean() }) },
} as const;

export function memberRoutes(app: FastifyInstance, host: Host, parts: WatchParts): void {
  for (const url of ['/v1/ns/:ns/members', '/v1/ns/:ns/members/*']) {
    viewRoute(app, url, parts);
    app.post(
      url,
      { schema: { body: joinBody, tags, summary: 'join a group', response: answers.joined } },
      async (request) =>
        await join(host, namespaceOf(request), pathOf(request), request.body as JoinBody),
    );
    const updateBody = Type.Object(told, { additionalProperties: false });
    const querystring = memberQuery;
    app.patch(
      url,
      {
        schema: {
          body: updateBody,
          querystring,
          tags,
          summary: 'tell something else',
          response: answers.updated,
        },
      },
      async (request) => ({ revision: await update(host, request) }),
    );
    app.delete(
      url,
      { schema: { querystring, tags, summary: 'leave', response: answers.left } },
      async (request) => ({ left: await leave(host, request) }),
    );
  }
}

function viewRoute(app: FastifyInstance, url: string, parts: WatchParts): void {
  const schema = {
    querystring: listQuery,
    tags,
    summary: 'who is there, who leads',
    response: answers.view,
  };
  app.get(url, { schema }, async (request, reply) => {
    const group = parts.space.namespace(namespaceOf(request)).members(pathOf(request));
    if (isSet((request.query as { watch?: string }).watch)) {
      return await streamWatch(reply, parts, 'members', (signal) => group.watch({ signal }));
    }
    return await group.list({ signal: goneSignal(reply, parts.stopping) });
  });
}

/** Joins under the lease given, or under a new one, which goes again when the join is refused. */
async function join(
  host: Host,
  namespace: string,
  path: string,
  { id, lease: given, ttlMs, owner, address, meta }: JoinBody,
): Promise<object> {
  if ((given === undefined) === (ttlMs === undefined)) {
    const why = 'a member takes either lease, one of yours, or ttlMs for a new one';
    throw new WaymarkError('invalid', why);
  }
  const own = given === undefined ? await host.grant(ttlMs ?? 0) : undefined;
  const lease = own?.id ?? given ?? 0;
  try {
    const incarnation = await host.run(joinGroup, namespace, {
      id: `lease-${lease}`,
      group: path,
      member: id,
      lease,
      owner: owner ?? `lease ${lease}`,
      address,
      meta: textOf(meta),
    });
    const joined = { path, id, incarnation, lease };
    return own === undefined ? joined : { ...joined, ttlMs: own.ttlMs };
  } catch (error) {
    if (own !== undefined) await host.revoke(own.id).catch(() => undefined);
    throw error;
  }
}

async function update(host: Host, request: FastifyRequest): Promise<number> {
  const { id: member, incarnation } = request.query as MemberQuery;
  const { address, meta } = request.body as Told;
  const of = { group: pathOf(request), member, incarnation };
  return await host.run(updateMember, namespaceOf(request), { ...of, address, meta: textOf(meta) });
}

async function leave(host: Host, request: FastifyRequest): Promise<boolean> {
  const { id: member, incarnation, lease } = request.query as MemberQuery;
  const of = { group: pathOf(request), member, incarnation, id: undefined };
  const left = await host.run(leaveGroup, namespaceOf(request), of);
  if (lease !== undefined) {
    await host.revoke(lease).catch((error: unknown) => {
      if (!isWaymarkError(error, 'not_found')) throw error;
    });
  }
  return left;
}

function textOf(meta: unknown): string | undefined {
  return meta === undefined ? undefined : JSON.stringify(meta);
}
