import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Space, StashBegun, StashCallOptions } from 'waymark';
import { durationMs, goneSignal } from './inputs.js';

/**
 * The stash as who runs it sees it. Beside `/v1/stash`, and not below: what stands there are names of indexes and their keys.
 */

const nullable = <T extends ReturnType<typeof Type.Integer>>(of: T) =>
  Type.Union([of, Type.Null()]);

const figures = Type.Object(
  {
    records: Type.Integer({ description: 'tombstones among them' }),
    bytes: Type.Integer({ description: 'what they take on the disk' }),
    tombstones: Type.Integer(),
    hints: Type.Integer({ description: 'keys that other nodes missed, and will be told' }),
    writable: Type.Boolean(),
    comparedMs: nullable(
      Type.Integer({ description: 'since every other replica was compared with; null: not yet' }),
    ),
    compared: Type.Integer({ description: 'looks at other nodes, since it was started' }),
    differing: Type.Integer({ description: 'partitions that were not the same, since then' }),
    fetched: Type.Integer({ description: 'entries that repair brought here, since then' }),
    pushed: Type.Integer({ description: 'entries that repair took to others, since then' }),
    damaged: Type.Integer({ description: 'records found that do not match their CRC, since then' }),
  },
  { description: 'what the node tells of itself; null when it does not answer' },
);

const node = Type.Object({
  id: Type.String(),
  address: Type.String(),
  zone: Type.String(),
  weight: Type.Number(),
  state: Type.Enum(['active', 'joining', 'leaving', 'left', 'away']),
  share: Type.Number({ description: 'of the data, of 1' }),
  figures: Type.Union([figures, Type.Null()]),
});

const move = Type.Object({
  phase: Type.Enum(['filling', 'settling']),
  paused: Type.Boolean(),
  partitions: Type.Integer({ description: 'that were brought over' }),
  of: Type.Integer({ description: 'that are to be' }),
  entries: Type.Integer({ description: 'that were brought over' }),
  leftMs: nullable(Type.Integer({ description: 'that it will take at the pace so far' })),
  waitingFor: Type.Array(Type.String(), { description: 'nodes that have not done their part' }),
  blockedBy: Type.Array(Type.String(), {
    description: 'nodes that are away, and without which it cannot end',
  }),
});

const status = Type.Object({
  epoch: Type.Integer({ description: 'grows with every change of who keeps what' }),
  nodes: Type.Array(node),
  replicas: Type.Integer(),
  writeQuorum: Type.Integer(),
  readQuorum: Type.Integer(),
  move: Type.Union([move, Type.Null()], { description: 'null: no data is being moved' }),
});

const begun = Type.Object({
  epoch: Type.Integer({
    description: 'a move is over when the status has this epoch or a higher one, and no move',
  }),
});

const safe = Type.Object({
  safe: Type.Boolean(),
  reasons: Type.Array(Type.String(), { description: 'why not' }),
  partitions: Type.Integer({ description: 'that others do not hold as they would have to' }),
});

const repaired = Type.Object({
  nodes: Type.Array(
    Type.Object({
      id: Type.String(),
      done: Type.Boolean({ description: 'false: it did not answer, or goes on' }),
      compared: Type.Integer({ description: 'other nodes' }),
      differing: Type.Integer({ description: 'partitions' }),
      fetched: Type.Integer({ description: 'entries brought there' }),
      pushed: Type.Integer({ description: 'entries taken to others' }),
    }),
  ),
});

const withinQuery = Type.Object({
  within: Type.Optional(Type.String({ description: 'answer by then: 20s; default 20s' })),
});
/** Below the time that a request may take. */
const repairMsDefault = 20_000;

const removeQuery = Type.Object({
  acceptLoss: Type.Optional(
    Type.Boolean({
      description: 'they never come back: what only they had is lost, and no move waits for them',
    }),
  ),
});

const tags = ['stash'];

export function stashOperatorRoutes(app: FastifyInstance, { stash }: Space): void {
  app.get(
    '/v1/stash/status',
    {
      schema: {
        ...{ tags, response: { 200: status } },
        summary: 'nodes and what they tell of themselves, copies, quorums, the move under way',
      },
    },
    async (_request, reply) => await stash.status({ signal: goneSignal(reply) }),
  );
  nodeRoutes(app, stash);
  const moves = {
    pause: ['have the move under way wait', (call) => stash.pauseMove(call)],
    resume: ['have it go on', (call) => stash.resumeMove(call)],
    cancel: ['go back to who kept the data before', (call) => stash.cancelMove(call)],
  } satisfies Record<string, readonly [string, Change]>;
  for (const [verb, [summary, change]] of Object.entries(moves)) {
    app.post(`/v1/stash-move/${verb}`, changing(summary), (_request, reply) =>
      change({ signal: goneSignal(reply) }),
    );
  }
  const repairing = {
    ...{ tags, querystring: withinQuery, response: { 200: repaired } },
    summary: 'all nodes compare what they keep now, and send what another lacks',
  };
  app.post('/v1/stash-repair', { schema: repairing }, async (request, reply) => {
    const { within } = request.query as Static<typeof withinQuery>;
    const deadlineMs = within === undefined ? repairMsDefault : durationMs(within);
    return await stash.repair({ deadlineMs, signal: goneSignal(reply) });
  });
}

function nodeRoutes(app: FastifyInstance, stash: Space['stash']): void {
  const one = '/v1/stash-nodes/:id';
  const draining = changing('give what a node keeps to the others, and take it out');
  app.post(`${one}/drain`, draining, (request, reply) =>
    stash.drain(idsOf(request), whileAsked(reply)),
  );
  const { schema } = changing('take out a node that is lost; once more, and it is forgotten');
  const removing = { schema: { ...schema, querystring: removeQuery } };
  app.post(`${one}/remove`, removing, (request, reply) => {
    const { acceptLoss } = request.query as Static<typeof removeQuery>;
    return stash.remove(idsOf(request), { ...whileAsked(reply), acceptLoss });
  });
  const asking = {
    ...{ tags, response: { 200: safe } },
    summary: 'whether a node may be stopped now, and its disk be lost',
  };
  app.get(`${one}/safe`, { schema: asking }, (request, reply) =>
    stash.safeToStop(idOf(request), whileAsked(reply)),
  );
}

type Change = (call: StashCallOptions) => Promise<StashBegun>;

function changing(summary: string) {
  return { schema: { tags, summary, response: { 200: begun } } };
}

function whileAsked(reply: FastifyReply): StashCallOptions {
  return { signal: goneSignal(reply) };
}

/** Several with commas between: no id has one. */
function idsOf(request: FastifyRequest): string[] {
  return idOf(request).split(',');
}

function idOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id;
}
