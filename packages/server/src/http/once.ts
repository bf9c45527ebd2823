import type { FastifyInstance } from 'fastify';
import { type TSchema, Type } from 'typebox';
import type { Space } from 'waymark';
import { namespaceOf, pathOf } from './inputs.js';
import { cycle, party } from './answers.js';
import { toldLeaseId } from './lease-id.js';

/**
 * Jobs that run once, and schedules, for those who look. Both run in a process: a job is run through the library or `waymark once`, a
 * schedule by `waymark schedule`.
 */

const revision = Type.Integer({ minimum: 0 });
const path = Type.String();
const orNull = (of: TSchema) => Type.Union([of, Type.Null()]);

const state = {
  path,
  state: Type.Enum(['open', 'running', 'done', 'failed']),
  owner: orNull(Type.String({ description: 'who runs it, or ran it' })),
  since: orNull(Type.Integer({ description: 'the revision it runs since, or was recorded at' })),
  value: Type.Optional(Type.Unknown({ description: 'done: what it came to' })),
  failed: Type.Optional(Type.String({ description: 'what it threw' })),
};

const dueTime = (description: string) => orNull(Type.Integer({ description }));

const schedule = Type.Object({
  path,
  leader: orNull(Type.Object({ owner: Type.String(), term: revision, lease: toldLeaseId() })),
  when: orNull(
    Type.Union([
      Type.Object({ everyMs: Type.Integer() }),
      Type.Object({ cron: Type.String(), timeZone: Type.Optional(Type.String()) }),
    ]),
  ),
  last: dueTime('due time of the run that was begun last, ms since 1970'),
  next: dueTime('null while nobody leads'),
});

const told = {
  once: {
    200: Type.Union([
      Type.Object({
        ...state,
        revision,
        holders: Type.Array(party),
        waiters: Type.Array(party),
        cycle,
        summary: Type.String(),
      }),
      Type.Object({ entries: Type.Array(Type.Object(state)), more: Type.Boolean(), revision }),
    ]),
  },
  forgotten: { 200: Type.Object({ forgotten: Type.Boolean({ description: 'it was recorded' }) }) },
  schedules: {
    200: Type.Object({ entries: Type.Array(schedule), more: Type.Boolean(), revision }),
  },
};

const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: 'default 1 000' })),
  after: Type.Optional(Type.String({ description: 'go on after this path' })),
  at: Type.Optional(Type.Integer({ minimum: 1, description: 'as of this revision' })),
};

interface PageQuery {
  readonly limit?: number;
  readonly after?: string;
  readonly at?: number;
}

const onceQuery = Type.Object({
  tree: Type.Optional(
    Type.Boolean({ description: 'all that run or were recorded here and below' }),
  ),
  ...pageQuery,
});

export function onceRoutes(app: FastifyInstance, space: Space): void {
  const tags = ['once'];
  for (const url of ['/v1/ns/:ns/once', '/v1/ns/:ns/once/*']) {
    const summary = 'what became of a job that runs once, who runs it, who waits';
    const schema = { tags, summary, querystring: onceQuery, response: told.once };
    app.get(url, { schema }, async (request) => {
      const { tree = false, ...page } = request.query as PageQuery & { tree?: boolean };
      const ns = space.namespace(namespaceOf(request));
      const of = pathOf(request);
      return tree ? await ns.onceStates(of, page) : await ns.explainOnce(of);
    });
    app.delete(
      url,
      { schema: { tags, summary: 'forget what it came to', response: told.forgotten } },
      async (request) => ({
        forgotten: await space.namespace(namespaceOf(request)).forgetOnce(pathOf(request)),
      }),
    );
  }
  for (const url of ['/v1/ns/:ns/schedules', '/v1/ns/:ns/schedules/*']) {
    const summary = 'the schedules here and below: who leads, last and next run';
    const querystring = Type.Object(pageQuery);
    const schema = { tags: ['schedules'], summary, querystring, response: told.schedules };
    app.get(url, { schema }, async (request) => {
      const ns = space.namespace(namespaceOf(request));
      return await ns.schedules(pathOf(request), request.query as PageQuery);
    });
  }
}
