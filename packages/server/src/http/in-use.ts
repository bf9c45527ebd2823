import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { type Host, pathsInUse, type UseKind } from 'waymark/engine';
import { answers } from './answers.js';
import { namespaceOf, pathOf } from './inputs.js';

const query = Type.Object({
  of: Type.Enum(['locks', 'elections', 'semaphores', 'names', 'groups', 'logs']),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  after: Type.Optional(Type.String({ description: 'go on after this path' })),
  at: Type.Optional(Type.Integer({ minimum: 1, description: 'as of this revision' })),
});

interface InUseQuery {
  readonly of: UseKind;
  readonly limit?: number;
  readonly after?: string;
  readonly at?: number;
}

/** Where something is, for who looks after a namespace: each kind's own route tells what. */
export function inUseRoutes(app: FastifyInstance, host: Host): void {
  const schema = {
    querystring: query,
    tags: ['namespaces'],
    summary: 'paths at or below that have locks, elections, …',
    response: answers.names,
  };
  for (const url of ['/v1/ns/:ns/in-use', '/v1/ns/:ns/in-use/*']) {
    app.get(url, { schema }, async (request) => {
      const { of, ...page } = request.query as InUseQuery;
      return await pathsInUse({ host, namespace: namespaceOf(request) }, of, pathOf(request), page);
    });
  }
}
