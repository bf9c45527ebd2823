import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import {
  codecs,
  type NamespaceDump,
  type Space,
  type TxnCheck,
  type TxnOperation,
  WaymarkError,
} from 'waymark';
import type { Host, LeaseId } from 'waymark/engine';
import { answers } from './answers.js';
import { holdOf, namespaceOf, pathOf } from './inputs.js';
import { entryJson } from './keys.js';
import { leaseId } from './lease-id.js';

/** Namespaces as a whole, their listings and transactions, and leases. */

const page = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  after: Type.Optional(Type.String()),
  at: Type.Optional(Type.Integer({ minimum: 1 })),
});

export function spaceRoutes(app: FastifyInstance, space: Space, host: Host): void {
  app.get(
    '/v1/ns',
    { schema: { tags: ['namespaces'], response: answers.namespaces } },
    async () => ({
      namespaces: await space.namespaces(),
    }),
  );

  app.delete(
    '/v1/ns/:ns',
    { schema: { tags: ['namespaces'], response: answers.nothing } },
    async (request, reply) => {
      await space.removeNamespace(namespaceOf(request));
      return await reply.code(204).send();
    },
  );

  for (const listing of ['children', 'leaves'] as const) {
    for (const url of [`/v1/ns/:ns/${listing}`, `/v1/ns/:ns/${listing}/*`]) {
      app.get(
        url,
        { schema: { querystring: page, tags: ['keys'], response: answers.names } },
        async (request) => {
          const call = request.query as { limit?: number; after?: string; at?: number };
          return await space.namespace(namespaceOf(request))[listing](pathOf(request), call);
        },
      );
    }
  }

  for (const url of ['/v1/ns/:ns/nearest', '/v1/ns/:ns/nearest/*']) {
    app.get(
      url,
      {
        schema: {
          tags: ['keys'],
          summary: 'the deepest entry at or above',
          response: answers.entry,
        },
      },
      async (request) => {
        const path = pathOf(request);
        const entry = await space
          .namespace(namespaceOf(request), { codec: codecs.bytes })
          .nearest(path);
        if (entry === null)
          throw new WaymarkError('not_found', `nothing at or above ${path}`, { path });
        return entryJson(entry);
      },
    );
  }

  wholeRoutes(app, space);
  txnRoute(app, space);
  leaseRoutes(app, host);
}

function wholeRoutes(app: FastifyInstance, space: Space): void {
  app.get(
    '/v1/ns/:ns/dump',
    { schema: { tags: ['namespaces'], response: answers.dump } },
    async (request) => space.namespace(namespaceOf(request)).dump(),
  );

  const replace = Type.Object({ replace: Type.Optional(Type.Boolean()) });
  const load = {
    schema: { querystring: replace, tags: ['namespaces'], response: answers.written },
    bodyLimit: 256 * 1_048_576,
  };
  app.post('/v1/ns/:ns/load', load, async (request) => {
    const call = request.query as { replace?: boolean };
    return await space.namespace(namespaceOf(request)).load(request.body as NamespaceDump, call);
  });

  const older = Type.Object({
    olderThanMs: Type.Number({ minimum: 0 }),
    path: Type.Optional(Type.String()),
  });
  app.post(
    '/v1/ns/:ns/prune',
    { schema: { body: older, tags: ['namespaces'], response: answers.pruned } },
    async (request) => {
      const { olderThanMs, path = '/' } = request.body as { olderThanMs: number; path?: string };
      return await space.namespace(namespaceOf(request)).prune(path, { olderThanMs });
    },
  );
}

const check = Type.Object(
  {
    path: Type.String(),
    revision: Type.Optional(Type.Integer({ minimum: 0 })),
    exists: Type.Optional(Type.Boolean()),
    value: Type.Optional(Type.String({ description: 'the value as text' })),
    base64: Type.Optional(Type.String({ description: 'the value in base64, instead of text' })),
  },
  { additionalProperties: false },
);
const operation = Type.Object(
  {
    put: Type.Optional(Type.String()),
    value: Type.Optional(Type.String({ description: 'the value as text' })),
    base64: Type.Optional(Type.String({ description: 'the value in base64, instead of text' })),
    lease: Type.Optional(leaseId()),
    delete: Type.Optional(Type.String()),
    tree: Type.Optional(Type.Boolean()),
    get: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
const txn = Type.Object(
  {
    when: Type.Optional(Type.Array(check)),
    apply: Type.Optional(Type.Array(operation)),
    otherwise: Type.Optional(Type.Array(operation)),
  },
  { additionalProperties: false },
);

function txnRoute(app: FastifyInstance, space: Space): void {
  app.post(
    '/v1/ns/:ns/txn',
    { schema: { body: txn, tags: ['keys'], response: answers.txn } },
    async (request) => {
      const ns = space.namespace(namespaceOf(request), { codec: codecs.bytes });
      const { when = [], apply = [], otherwise = [] } = request.body as Static<typeof txn>;
      const outcome = await ns.txn({
        when: when.map((one) => valued(one) as TxnCheck),
        apply: apply.map((one) => valued(one) as TxnOperation),
        otherwise: otherwise.map((one) => valued(one) as TxnOperation),
        hold: holdOf(request),
      });
      const results = outcome.results.map((result) =>
        result.type === 'get'
          ? { type: 'get', entry: result.entry && entryJson(result.entry) }
          : result,
      );
      return { ...outcome, results };
    },
  );
}

/** The value as bytes, from the text or the base64 that stands for it. @throws {WaymarkError} `invalid` */
function valued(one: Static<typeof check> | Static<typeof operation>): object {
  const { value, base64, ...rest } = one;
  const kinds = ['put', 'delete', 'get', 'revision', 'exists'].filter((kind) => kind in rest);
  const given = [value, base64].filter((text) => text !== undefined).length;
  const needed = 'put' in rest || ('path' in rest && kinds.length === 0) ? 1 : 0;
  if (kinds.length > 1 || given !== needed) {
    throw new WaymarkError(
      'invalid',
      'a check has one of revision, exists, value, base64; an operation is one of put (with value or base64), delete, get',
    );
  }
  if (given === 0) return rest;
  if (value !== undefined && /\p{Surrogate}/u.test(value)) {
    throw new WaymarkError('invalid', 'a value as text is well-formed: no lone surrogate');
  }
  if (base64 !== undefined && !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) {
    throw new WaymarkError('invalid', 'base64 holds A-Z a-z 0-9 + / and = at the end');
  }
  return {
    ...rest,
    value: Buffer.from(value ?? base64 ?? '', value === undefined ? 'base64' : 'utf8'),
  };
}

function leaseRoutes(app: FastifyInstance, host: Host): void {
  const tags = ['leases'];
  const ttl = Type.Object({
    ttlMs: Type.Number(),
    id: Type.Optional(leaseId('ask for this id; beyond 2^53-1 as a string')),
  });
  app.post(
    '/v1/leases',
    { schema: { body: ttl, tags, response: answers.leaseGranted } },
    async (request, reply) => {
      const { ttlMs, id } = request.body as { ttlMs: number; id?: LeaseId };
      return await reply.code(201).send(await host.grant(ttlMs, { id }));
    },
  );
  const params = Type.Object({ id: leaseId('all its digits, whatever its size') });
  const idOf = ({ params }: { params: unknown }): LeaseId => (params as { id: LeaseId }).id;
  app.post(
    '/v1/leases/:id/renew',
    { schema: { params, tags, response: answers.leaseRenewed } },
    async (request) => host.renew(idOf(request)),
  );
  app.delete(
    '/v1/leases/:id',
    { schema: { params, tags, response: answers.written } },
    async (request) => host.revoke(idOf(request)),
  );
  app.get(
    '/v1/leases/:id',
    { schema: { params, tags, response: answers.lease } },
    async (request) => {
      const state = await host.lease(idOf(request));
      if (state === null)
        throw new WaymarkError('not_found', 'there is no such lease', { lease: idOf(request) });
      return state;
    },
  );
}
