import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { codecs, type NamespaceDump, type Space, type TxnCall, WaymarkError } from 'waymark';
import type { Host } from 'waymark/engine';
import { holdOf, namespaceOf, pathOf } from './inputs.js';
import { entryJson } from './keys.js';

/** Namespaces as a whole, their listings and transactions, and leases. */

const page = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  after: Type.Optional(Type.String()),
  at: Type.Optional(Type.Integer({ minimum: 1 })),
});

export function spaceRoutes(app: FastifyInstance, space: Space, host: Host): void {
  app.get('/v1/ns', { schema: { tags: ['namespaces'] } }, async () => ({ namespaces: await space.namespaces() }));

  app.delete('/v1/ns/:ns', { schema: { tags: ['namespaces'] } }, async (request, reply) => {
    await space.removeNamespace(namespaceOf(request));
    return await reply.code(204).send();
  });

  for (const listing of ['children', 'leaves'] as const) {
    for (const url of [`/v1/ns/:ns/${listing}`, `/v1/ns/:ns/${listing}/*`]) {
      app.get(url, { schema: { querystring: page, tags: ['keys'] } }, async (request) => {
        const call = request.query as { limit?: number; after?: string; at?: number };
        return await space.namespace(namespaceOf(request))[listing](pathOf(request), call);
      });
    }
  }

  for (const url of ['/v1/ns/:ns/nearest', '/v1/ns/:ns/nearest/*']) {
    app.get(url, { schema: { tags: ['keys'], summary: 'the deepest entry at or above' } }, async (request) => {
      const path = pathOf(request);
      const entry = await space.namespace(namespaceOf(request), { codec: codecs.bytes }).nearest(path);
      if (entry === null) throw new WaymarkError('not_found', `nothing at or above ${path}`, { path });
      return entryJson(entry);
    });
  }

  app.get('/v1/ns/:ns/dump', { schema: { tags: ['namespaces'] } }, async (request) =>
    space.namespace(namespaceOf(request)).dump(),
  );

  const replace = Type.Object({ replace: Type.Optional(Type.Boolean()) });
  const load = { schema: { querystring: replace, tags: ['namespaces'] }, bodyLimit: 256 * 1_048_576 };
  app.post('/v1/ns/:ns/load', load, async (request) => {
    const call = request.query as { replace?: boolean };
    return await space.namespace(namespaceOf(request)).load(request.body as NamespaceDump, call);
  });

  const older = Type.Object({ olderThanMs: Type.Number({ minimum: 0 }), path: Type.Optional(Type.String()) });
  app.post('/v1/ns/:ns/prune', { schema: { body: older, tags: ['namespaces'] } }, async (request) => {
    const { olderThanMs, path = '/' } = request.body as { olderThanMs: number; path?: string };
    return await space.namespace(namespaceOf(request)).prune(path, { olderThanMs });
  });

  txnRoute(app, space);
  leaseRoutes(app, host);
}

const check = Type.Object(
  {
    path: Type.String(),
    revision: Type.Optional(Type.Integer({ minimum: 0 })),
    exists: Type.Optional(Type.Boolean()),
    value: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
const operation = Type.Object(
  {
    put: Type.Optional(Type.String()),
    value: Type.Optional(Type.String()),
    lease: Type.Optional(Type.Integer({ minimum: 1 })),
    delete: Type.Optional(Type.String()),
    tree: Type.Optional(Type.Boolean()),
    get: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
const txn = Type.Object({
  when: Type.Optional(Type.Array(check)),
  apply: Type.Optional(Type.Array(operation)),
  otherwise: Type.Optional(Type.Array(operation)),
});

/** Values in a transaction are text. */
function txnRoute(app: FastifyInstance, space: Space): void {
  app.post('/v1/ns/:ns/txn', { schema: { body: txn, tags: ['keys'] } }, async (request) => {
    const ns = space.namespace(namespaceOf(request), { codec: codecs.text });
    return await ns.txn({ ...(request.body as TxnCall), hold: holdOf(request) });
  });
}

function leaseRoutes(app: FastifyInstance, host: Host): void {
  const tags = ['leases'];
  const ttl = Type.Object({ ttlMs: Type.Number(), id: Type.Optional(Type.Integer({ minimum: 1 })) });
  app.post('/v1/leases', { schema: { body: ttl, tags } }, async (request, reply) => {
    const { ttlMs, id } = request.body as { ttlMs: number; id?: number };
    return await reply.code(201).send(await host.grant(ttlMs, { id }));
  });
  const params = Type.Object({ id: Type.Integer({ minimum: 1 }) });
  const idOf = (request: { params: unknown }): number => (request.params as { id: number }).id;
  app.post('/v1/leases/:id/renew', { schema: { params, tags } }, async (request) => host.renew(idOf(request)));
  app.delete('/v1/leases/:id', { schema: { params, tags } }, async (request) => host.revoke(idOf(request)));
  app.get('/v1/leases/:id', { schema: { params, tags } }, async (request) => {
    const state = await host.lease(idOf(request));
    if (state === null) throw new WaymarkError('not_found', 'there is no such lease', { lease: idOf(request) });
    return state;
  });
}
