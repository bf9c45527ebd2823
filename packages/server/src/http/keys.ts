import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { codecs, type PathEntry, type Space, WaymarkError } from 'waymark';
import { durationMs, goneSignal, holdOf, ifRevisionOf, namespaceOf, pathOf } from './inputs.js';
import { eventJson, groupsOf } from './watch.js';

/** Keys as resources: the value is the body, byte for byte, and the ETag is its revision. */

const keyQuery = Type.Object({
  tree: Type.Optional(Type.String({ description: 'the path and all below it' })),
  at: Type.Optional(Type.Integer({ minimum: 1, description: 'read the past, as of this revision' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  after: Type.Optional(Type.String({ description: 'with tree: go on after this path; with wait: after this revision' })),
  wait: Type.Optional(Type.String({ description: 'long poll: wait so long (30s) for a change after `after`' })),
});

const writeQuery = Type.Object({
  lease: Type.Optional(Type.Integer({ minimum: 1 })),
  tree: Type.Optional(Type.String()),
});

interface KeyQuery {
  readonly tree?: string;
  readonly at?: number;
  readonly limit?: number;
  readonly after?: string;
  readonly wait?: string;
}

export function keyRoutes(app: FastifyInstance, space: Space): void {
  // Bodies are values: no content type makes them anything else.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  const bytesOf = (request: FastifyRequest) =>
    space.namespace(namespaceOf(request), { codec: codecs.bytes });

  for (const url of ['/v1/ns/:ns/keys', '/v1/ns/:ns/keys/*']) {
    app.get(url, { schema: { querystring: keyQuery, tags: ['keys'] } }, async (request, reply) => {
      const query = request.query as KeyQuery;
      const path = pathOf(request);
      if (query.wait !== undefined) return await longPoll(space, request, path, query);
      if (isSet(query.tree)) {
        const { after, limit, at } = query;
        const page = await bytesOf(request).tree(path, { after, limit, at });
        return { ...page, entries: page.entries.map(entryJson) };
      }
      const entry = await bytesOf(request).get(path, { at: query.at });
      if (entry === null) throw new WaymarkError('not_found', `${path} has no value`, { path });
      return sendValue(request, reply, entry);
    });

    app.put(url, { schema: { querystring: writeQuery, tags: ['keys'] } }, async (request, reply) => {
      const { lease } = request.query as { lease?: number };
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const call = { ifRevision: ifRevisionOf(request), hold: holdOf(request), lease };
      const { revision } = await bytesOf(request).put(pathOf(request), body, call);
      return await reply.header('etag', `"${revision}"`).send({ revision });
    });

    app.delete(url, { schema: { querystring: writeQuery, tags: ['keys'] } }, async (request) => {
      const { tree } = request.query as { tree?: string };
      const call = { ifRevision: ifRevisionOf(request), hold: holdOf(request) };
      const ns = bytesOf(request);
      return await (isSet(tree) ? ns.deleteTree(pathOf(request), call) : ns.delete(pathOf(request), call));
    });
  }
}

/** An entry in JSON: the value as text when it is UTF-8, and always in base64. */
export function entryJson(entry: PathEntry<Uint8Array>): object {
  const bytes = Buffer.from(entry.value);
  const text = utf8(bytes);
  const value = text === null ? {} : { value: text };
  return { ...entry, ...value, ...(text === null ? { value: undefined } : {}), base64: bytes.toString('base64') };
}

export function isSet(flag: string | undefined): boolean {
  return flag !== undefined && flag !== 'false' && flag !== '0';
}

async function sendValue(
  request: FastifyRequest,
  reply: FastifyReply,
  entry: PathEntry<Uint8Array>,
): Promise<FastifyReply> {
  const etag = `"${entry.revision}"`;
  void reply.headers({
    etag,
    'x-waymark-revision': entry.revision,
    'x-waymark-create-revision': entry.createRevision,
    'x-waymark-version': entry.version,
    ...(entry.lease === 0 ? {} : { 'x-waymark-lease': entry.lease }),
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache',
  });
  if (request.headers['if-none-match'] === etag) return await reply.code(304).send();
  const bytes = Buffer.from(entry.value);
  return await reply.header('content-type', typeOf(bytes)).send(bytes);
}

/** The value carries no type of its own: JSON and text are told by looking. */
function typeOf(bytes: Buffer): string {
  const text = utf8(bytes);
  if (text === null) return 'application/octet-stream';
  try {
    JSON.parse(text);
    return 'application/json';
  } catch {
    return 'text/plain; charset=utf-8';
  }
}

function utf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Answers with the first changes after `after`, or with none and where to go on when the time is up. */
async function longPoll(space: Space, request: FastifyRequest, path: string, query: KeyQuery): Promise<object> {
  const waitMs = durationMs(query.wait ?? '');
  const after = query.after === undefined ? undefined : Number(query.after);
  if (after !== undefined && !Number.isSafeInteger(after)) {
    throw new WaymarkError('invalid', '`after` is a revision when `wait` is given');
  }
  const late = AbortSignal.timeout(waitMs);
  const signal = AbortSignal.any([late, goneSignal(request)]);
  let resume = after ?? (await space.status()).revision;
  try {
    const groups = groupsOf(space, namespaceOf(request), path, { tree: isSet(query.tree), after: resume, signal });
    for await (const group of groups) {
      resume = group.resume ?? resume;
      if (group.events.length > 0) return { revision: resume, events: group.events.map(eventJson) };
    }
  } catch (error) {
    if (!late.aborted) throw error;
  }
  return { revision: resume, events: [] };
}
