import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { lists, type NameList } from 'waymark';
import { claimName, encodeNameList, giveUpName, type LeaseId, releaseName } from 'waymark/engine';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { isSet } from './keys.js';
import { leaseId, toldLeaseId } from './lease-id.js';
import { type AskedLease, endLease, type HoldParts, underLease } from './request-lease.js';
import { streamWatch } from './sse.js';
import type { WatchParts } from './streams.js';

/**
 * Names for those without a client library. A claim lives by a lease that the caller renews: one of its own, or with `ttlMs` a new one,
 * which is kept alive while the request waits. Owner and lease name the claim: asking again is answered with the same name.
 */

const owner = Type.String({ minLength: 1, maxLength: 256, description: 'who is to have the name' });
const name = Type.String();
const position = Type.Integer({ minimum: 0, description: 'in the list, from 0' });
const token = Type.Integer({ description: 'grows with every claim of the name' });

const claimBody = Type.Object(
  {
    owner,
    lease: Type.Optional(leaseId('the lease the claim ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    keeper: Type.Optional(
      leaseId('a second, longer lease of yours: the name is kept for its owner while it lives'),
    ),
    waitMs: Type.Optional(
      Type.Number({ minimum: 0, maximum: 600_000, description: 'default 0: only if one is free' }),
    ),
    list: Type.Optional(
      Type.Union(
        [
          Type.Literal('mountains'),
          Type.Literal('mountainsAscii'),
          Type.Object({ prefix: Type.String(), count: Type.Integer() }),
          Type.Array(Type.String()),
        ],
        { description: 'default: the list in use; the mountains where there is none' },
      ),
    ),
  },
  { additionalProperties: false },
);

interface ClaimBody extends AskedLease {
  readonly owner: string;
  readonly keeper?: LeaseId;
  readonly waitMs?: number;
  readonly list?: 'mountains' | 'mountainsAscii' | Prefixed | NameList;
}

interface Prefixed {
  readonly prefix: string;
  readonly count: number;
}

const listQuery = Type.Object({
  watch: Type.Optional(
    Type.String({ description: 'the claims, then every change of them, as server-sent events' }),
  ),
});

const releaseQuery = Type.Object({
  owner,
  lease: leaseId('the lease the name was claimed under'),
  token: Type.Optional(Type.Integer({ minimum: 1, description: 'only this claim' })),
  end: Type.Optional(Type.Boolean({ description: 'end the lease too' })),
});

const member = Type.Object({ name, position, owner, token, lease: toldLeaseId() });
const view = Type.Object({
  path: Type.String(),
  revision: Type.Integer(),
  size: Type.Integer({ description: 'names in the list; 0 before the first claim' }),
  members: Type.Array(member),
  kept: Type.Array(Type.Object({ name, position, owner })),
  waiting: Type.Array(owner),
});
const answers = {
  members: {
    200: {
      description: 'at one revision; with `watch`, the claims and every change of them',
      content: { 'application/json': { schema: view }, 'text/event-stream': { schema: name } },
    },
  },
  claimed: {
    200: Type.Object({
      path: Type.String(),
      name,
      position,
      owner,
      token,
      lease: toldLeaseId(),
      ttlMs: Type.Optional(Type.Number()),
    }),
  },
  released: { 200: Type.Object({ released: Type.Boolean() }) },
};

const tags = ['names'];

export function nameRoutes(app: FastifyInstance, parts: HoldParts, watches: WatchParts): void {
  const { host } = parts;
  for (const url of ['/v1/ns/:ns/names', '/v1/ns/:ns/names/*']) {
    const schema = { querystring: listQuery, tags, summary: 'who is called what' };
    app.get(url, { schema: { ...schema, response: answers.members } }, async (request, reply) => {
      const path = pathOf(request);
      const names = watches.space.namespace(namespaceOf(request)).names(path);
      if (isSet((request.query as { watch?: string }).watch)) {
        return await streamWatch(reply, watches, 'names', (signal) => names.watch({ signal }));
      }
      return { path, ...(await names.members()) };
    });

    app.post(
      url,
      { schema: { body: claimBody, tags, summary: 'claim a name', response: answers.claimed } },
      async (request, reply) => {
        const gone = goneSignal(reply, parts.stopping);
        const where = { namespace: namespaceOf(request), path: pathOf(request) };
        return await claimUnder(parts, where, request.body as ClaimBody, gone);
      },
    );

    const querystring = releaseQuery;
    app.delete(
      url,
      { schema: { querystring, tags, summary: 'release a name', response: answers.released } },
      async (request) => {
        const { end = false, ...whose } = request.query as Whose & { end?: boolean };
        const args = { ...whose, path: pathOf(request), token: whose.token };
        const released = await host.run(releaseName, namespaceOf(request), args);
        if (end) await endLease(host, whose.lease);
        return { released };
      },
    );
  }
}

interface Whose {
  readonly owner: string;
  readonly lease: LeaseId;
  readonly token?: number;
}

interface Where {
  readonly namespace: string;
  readonly path: string;
}

async function claimUnder(
  parts: HoldParts,
  { namespace, path }: Where,
  body: ClaimBody,
  gone: AbortSignal,
): Promise<object> {
  const { host, random } = parts;
  const { owner, keeper, waitMs = 0 } = body;
  const list = body.list === undefined ? undefined : encodeNameList(namesOf(body.list));
  const id = random.id();
  const giveBack = (lease: LeaseId): Promise<unknown> =>
    host.run(giveUpName, namespace, { id, path, owner, lease });
  // A repeated claim is answered with the name, but has no id to find a place in line by.
  const cutOff = { gone, findable: false, giveBack };
  const { taken, under } = await underLease(parts, body, cutOff, (lease, signal) => {
    const whose = { id, path, owner, lease, session: `lease-${lease}` };
    return host.run(claimName, namespace, { ...whose, list, keeper, waitMs }, { signal });
  });
  return { path, ...taken, owner, ...under };
}

function namesOf(list: NonNullable<ClaimBody['list']>): NameList {
  if (typeof list === 'string') return lists[list];
  return 'prefix' in list ? lists.prefixed(list.prefix, list.count) : list;
}
