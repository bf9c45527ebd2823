import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { WaymarkError } from 'waymark';
import type { HeldKeys, Host, LockMode } from 'waymark/engine';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';

/**
 * Locks for those without a client library. The hold lives by a lease of the caller's (`POST /v1/leases`), which the caller renews; the
 * session is that lease. A repeated POST with the same id finds its place in the queue again.
 */

const lockBody = Type.Object({
  lease: Type.Integer({ minimum: 1 }),
  tree: Type.Optional(Type.Boolean()),
  mode: Type.Optional(Type.Union([Type.Literal('exclusive'), Type.Literal('shared')])),
  waitMs: Type.Optional(Type.Number({ minimum: 0, maximum: 600_000, description: 'default 0: only if it is free' })),
  owner: Type.Optional(Type.String({ maxLength: 256 })),
  id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
});

interface LockBody {
  readonly lease: number;
  readonly tree?: boolean;
  readonly mode?: LockMode;
  readonly waitMs?: number;
  readonly owner?: string;
  readonly id: string;
}

const holdQuery = Type.Object({
  tree: Type.Optional(Type.Boolean()),
  mode: Type.Optional(Type.Union([Type.Literal('exclusive'), Type.Literal('shared')])),
  id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })),
});

export function lockRoutes(app: FastifyInstance, host: Host): void {
  const tags = ['locks'];
  for (const url of ['/v1/ns/:ns/locks', '/v1/ns/:ns/locks/*']) {
    app.get(url, { schema: { querystring: holdQuery, tags, summary: 'who holds, who waits' } }, async (request) => {
      const { tree, mode } = heldOf(request);
      return await host.explain(namespaceOf(request), { path: pathOf(request), tree, mode });
    });

    app.post(url, { schema: { body: lockBody, tags, summary: 'take a lock' } }, async (request) => {
      const body = request.body as LockBody;
      const path = pathOf(request);
      const { lease, id, tree = false, mode = 'exclusive', waitMs = 0, owner = `lease ${lease}` } = body;
      const wanted = { id, path, tree, mode, lease, owner, session: `lease-${lease}`, waitMs };
      const grant = await host.acquire(namespaceOf(request), wanted, { signal: goneSignal(request) });
      if (grant !== null) return { ...grant.hold, token: grant.token, lease };
      const { summary } = await host.explain(namespaceOf(request), { path, tree, mode });
      throw new WaymarkError('locked', summary, { path });
    });

    app.delete(url, { schema: { querystring: holdQuery, tags, summary: 'release' } }, async (request) => {
      const hold = { ...heldOf(request), path: pathOf(request) };
      if (hold.id === '') throw new WaymarkError('invalid', 'release takes the ?id= the lock was taken with');
      return { released: await host.release(namespaceOf(request), hold) };
    });
  }

  const reason = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1_000 }) });
  for (const url of ['/v1/ns/:ns/force-unlock', '/v1/ns/:ns/force-unlock/*']) {
    app.post(url, { schema: { body: reason, tags, summary: 'take locks away; audited' } }, async (request) => {
      const body = request.body as { reason: string };
      return { ended: await host.forceUnlock(namespaceOf(request), pathOf(request), body.reason) };
    });
  }
}

function heldOf(request: FastifyRequest): HeldKeys {
  const { tree = false, mode = 'exclusive', id = '' } = request.query as Partial<HeldKeys>;
  return { path: '/', tree, mode, id };
}
