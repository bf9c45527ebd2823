import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { codecs, type Members, type Reply } from 'waymark';
import { undelivered } from '../undelivered.js';
import { stopCounting } from './admitted.js';
import { durationMs, goneSignal, groupOf } from './inputs.js';
import { utf8 } from './keys.js';
import { problemOf, toWaymarkError } from './problem.js';
import type { WatchParts } from './streams.js';

/**
 * Messages to the members of a group, from who is none of them. The body is the message, byte for byte. Replies are on their way as long as
 * the client is there: the server's own stop does not end them, as nobody could tell then what became of a message.
 */

const tags = ['messages'];

const query = {
  deadline: Type.Optional(
    Type.String({ description: 'how long to wait for a reply (5s); default 10s, at most 10m' }),
  ),
  owner: Type.Optional(
    Type.String({ maxLength: 256, description: 'who to show as the sender; default http' }),
  ),
};

const sendQuery = Type.Object({
  ...query,
  to: Type.Optional(
    Type.String({ minLength: 1, description: 'the id of a member; default the leader' }),
  ),
});

const broadcastQuery = Type.Object({
  ...query,
  only: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      description: 'the ids of members, once for each; default all members',
    }),
  ),
});

interface MessageQuery {
  readonly deadline?: string;
  readonly owner?: string;
  readonly to?: string;
  readonly only?: readonly string[];
}

const delivered = Type.Object({
  outcome: Type.Literal('delivered'),
  member: Type.String({ description: 'who replied' }),
  value: Type.Optional(Type.String({ description: 'the reply as text, when it is UTF-8' })),
  base64: Type.String({ description: 'the reply, byte for byte' }),
});

const answers = {
  send: { 200: delivered },
  broadcast: {
    200: {
      description:
        'one JSON document a line, as they come: a reply of each member, like that of `send`; or `{ outcome, member, seen, why }`',
      content: { 'application/x-ndjson': { schema: { type: 'string' } } },
    },
  },
} as const;

export function groupRoutes(app: FastifyInstance, parts: WatchParts): void {
  void app.register(async (values) => {
    values.removeAllContentTypeParsers();
    values.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body),
    );
    for (const url of ['/v1/ns/:ns/groups/*', '/v1/groups/*']) {
      const sending = { tags, summary: 'to the leader, or to one', querystring: sendQuery };
      values.post(
        url,
        { constraints: { verb: 'send' }, schema: { ...sending, response: answers.send } },
        async (request, reply) => await send(request, reply, parts),
      );
      const asking = { tags, summary: 'to all, or to some', querystring: broadcastQuery };
      values.post(
        url,
        { constraints: { verb: 'broadcast' }, schema: { ...asking, response: answers.broadcast } },
        async (request, reply) => await broadcast(request, reply, parts),
      );
    }
  });
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: WatchParts,
): Promise<object> {
  const { to } = request.query as MessageQuery;
  const { group, body, call } = asked(request, reply, parts);
  const leave = parts.streams.enter('send');
  try {
    const told = await (to === undefined
      ? group.send<Uint8Array>(body, call)
      : group.sendTo<Uint8Array>(to, body, call));
    if (told.outcome !== 'delivered') throw undelivered(group.path, told);
    return replyJson(told);
  } finally {
    leave();
  }
}

async function broadcast(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: WatchParts,
): Promise<FastifyReply> {
  const { only } = request.query as MessageQuery;
  const { group, body, call } = asked(request, reply, parts);
  const leave = parts.streams.enter('broadcast');
  reply.raw.once('close', leave);
  const replies = group.broadcast<Uint8Array>(body, { ...call, only });
  // What is wrong with the call is told by its status, so before there is one.
  const first = await replies.next();
  return await reply
    .type('application/x-ndjson')
    .send(Readable.from(lines(first, replies), { highWaterMark: 1 }));
}

async function* lines(
  first: IteratorResult<Reply<Uint8Array>>,
  rest: AsyncIterable<Reply<Uint8Array>>,
): AsyncGenerator<string> {
  if (first.done === true) return;
  yield line(replyJson(first.value));
  try {
    for await (const told of rest) yield line(replyJson(told));
  } catch (error) {
    yield `${problemOf(toWaymarkError(error))}\n`;
  }
}

function line(told: object): string {
  return `${JSON.stringify(told)}\n`;
}

function asked(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: WatchParts,
): {
  readonly group: Members;
  readonly body: Uint8Array;
  readonly call: { readonly deadlineMs: number | undefined; readonly signal: AbortSignal };
} {
  const { namespace, path } = groupOf(request);
  const { deadline, owner } = request.query as MessageQuery;
  // It waits for a member, who may need a turn to answer.
  stopCounting(reply.raw);
  const group = parts.space.namespace(namespace, { codec: codecs.bytes }).members(path, { owner });
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const deadlineMs = deadline === undefined ? undefined : durationMs(deadline);
  return { group, body, call: { deadlineMs, signal: goneSignal(reply) } };
}

function replyJson(told: Reply<Uint8Array>): object {
  if (told.outcome !== 'delivered') return told;
  const { outcome, member } = told;
  const bytes = Buffer.from(told.value);
  const text = utf8(bytes);
  const value = text === null ? {} : { value: text };
  return { outcome, member, ...value, base64: bytes.toString('base64') };
}
