import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Cluster, JoinRequest } from 'waymark/cluster';

const text = Type.String({ minLength: 1, maxLength: 256 });

const request = Type.Object({
  token: Type.String({ minLength: 1, maxLength: 256, description: 'from `waymark cluster token`' }),
  name: text,
  peerUrl: Type.String({
    minLength: 1,
    maxLength: 300,
    description: 'where its etcd will be reached by the others: http://HOST:PORT',
  }),
});

const peer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  peerUrls: Type.Array(Type.String()),
  clientUrls: Type.Array(Type.String()),
  learner: Type.Boolean(),
});

const grant = Type.Object({
  id: Type.String({ description: 'of the new member' }),
  clusterToken: Type.String(),
  members: Type.Array(peer),
});

/** Lets a member in, by its token: what else is asked of a member is asked in its directory. */
export function clusterRoutes(app: FastifyInstance, cluster: Cluster): void {
  app.post(
    '/v1/cluster/join',
    { schema: { tags: ['operations'], body: request, response: { 200: grant } } },
    async (asked) => await cluster.admit(asked.body as JoinRequest),
  );
}
