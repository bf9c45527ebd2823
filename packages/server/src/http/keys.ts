import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { codecs, type Namespace, type Page, type PathEntry, WaymarkError } from 'waymark';
import {
  durationMs,
  goneSignal,
  holdOf,
  ifRevisionOf,
  namespaceOf,
  pathOf,
  resumeFrom,
} from './inputs.js';
import type { LeaseId } from 'waymark/engine';
import { answers } from './answers.js';
import { leaseId } from './lease-id.js';
import type { WatchParts } from './streams.js';
import { callOf, eventJson, type Group, openWatch, resumeReader } from './watch.js';

/** Keys as resources: the value is the body, byte for byte, and the ETag is its revision. */

const keyQuery = Type.Object({
  tree: Type.Optional(Type.String({ description: 'the path and all below it' })),
  at: Type.Optional(
    Type.Integer({ minimum: 1, description: 'read the past, as of this revision' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  after: Type.Optional(
    Type.String({
      description: 'with tree: go on after this path; with wait: after this revision',
    }),
  ),
  wait: Type.Optional(
    Type.String({ description: 'long poll: wait so long (30s) for a change after `after`' }),
  ),
  pattern: Type.Optional(Type.String({ description: 'with wait: only paths that it matches' })),
  cursor: Type.Optional(
    Type.String({ description: 'with wait: go on where this reader was; `after` moves it' }),
  ),
  keys_only: Type.Optional(Type.Boolean({ description: 'with tree: no values' })),
});

const writeQuery = Type.Object({
  lease: Type.Optional(leaseId()),
  tree: Type.Optional(Type.String()),
});

interface KeyQuery {
  readonly tree?: string;
  readonly at?: number;
  readonly limit?: number;
  readonly after?: string;
  readonly wait?: string;
  readonly keys_only?: boolean;
  readonly pattern?: string;
  readonly cursor?: string;
}

export function keyRoutes(app: FastifyInstance, parts: WatchParts): void {
  const { space } = parts;
  const tags = ['keys'];
  // Bodies are values: no content type makes them anything else.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  const bytesOf = (request: FastifyRequest) =>
    space.namespace(namespaceOf(request), { codec: codecs.bytes });

  for (const url of ['/v1/ns/:ns/keys', '/v1/ns/:ns/keys/*']) {
    app.get(
      url,
      { schema: { querystring: keyQuery, tags, response: answers.key }, exposeHeadRoute: true },
      async (request, reply) => {
        const query = request.query as KeyQuery;
        const path = pathOf(request);
        if (query.wait !== undefined) return await longPoll(parts, request, reply, query);
        if (isSet(query.tree)) {
          const { entries, more, revision } = await treePage(bytesOf(request), path, query);
          const shown = query.keys_only === true ? entries.map(factsOf) : entries.map(entryJson);
          return { entries: shown, more, revision };
        }
        const entry = await bytesOf(request).get(path, { at: query.at });
        if (entry === null) throw new WaymarkError('not_found', `${path} has no value`, { path });
        return sendValue(request, reply, entry);
      },
    );

    app.put(
      url,
      { schema: { querystring: writeQuery, tags, response: answers.written } },
      async (request, reply) => {
        const { lease } = request.query as { lease?: LeaseId };
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const call = { ifRevision: ifRevisionOf(request), hold: holdOf(request), lease };
        const { revision } = await bytesOf(request).put(pathOf(request), body, call);
        return await reply.header('etag', `"${revision}"`).send({ revision });
      },
    );

    app.delete(
      url,
      { schema: { querystring: writeQuery, tags, response: answers.deleted } },
      async (request) => {
        const { tree } = request.query as { tree?: string };
        const call = { ifRevision: ifRevisionOf(request), hold: holdOf(request) };
        const ns = bytesOf(request);
        return await (isSet(tree)
          ? ns.deleteTree(pathOf(request), call)
          : ns.delete(pathOf(request), call));
      },
    );
  }
}

/** An entry in JSON: the value as text when it is UTF-8, and always in base64. */
export function entryJson(entry: PathEntry<Uint8Array>): object {
  const bytes = Buffer.from(entry.value);
  const facts = factsOf(entry);
  const text = utf8(bytes);
  return { ...facts, ...(text === null ? {} : { value: text }), base64: bytes.toString('base64') };
}

function factsOf({
  path,
  revision,
  createRevision,
  version,
  lease,
}: PathEntry<Uint8Array>): object {
  return { path, revision, createRevision, version, lease };
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
    return 'application/json; charset=utf-8';
  } catch {
    return 'text/plain; charset=utf-8';
  }
}

export function utf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** A page ends early once its values have come to this. */
const pageBytesMax = 8_388_608;
const stepMax = 32;
/** Events of a resync that one answer tells. */
const resyncMax = 10_000;

/** Reads in small steps at one revision, so that a thousand large values never stand in memory together. */
async function treePage(
  ns: Namespace<Uint8Array>,
  path: string,
  query: KeyQuery,
): Promise<Page<PathEntry<Uint8Array>>> {
  const { limit = 1_000 } = query;
  const entries: PathEntry<Uint8Array>[] = [];
  let { after, at } = query;
  for (let bytes = 0; ;) {
    const page = await ns.tree(path, {
      after,
      at,
      limit: Math.min(stepMax, limit - entries.length),
    });
    at ??= page.revision;
    entries.push(...page.entries);
    for (const entry of page.entries) bytes += entry.value.length;
    const full = entries.length >= limit || bytes >= pageBytesMax;
    if (!page.more || full) return { entries, more: page.more, revision: at };
    after = page.entries.at(-1)?.path;
  }
}

/** Answers with the first changes after `after`, or with none and where to go on when the time is up. */
async function longPoll(
  parts: WatchParts,
  request: FastifyRequest,
  reply: FastifyReply,
  query: KeyQuery,
): Promise<object> {
  const waitMs = durationMs(query.wait ?? '');
  const late = new AbortController();
  const signal = AbortSignal.any([late.signal, goneSignal(reply, parts.stopping)]);
  const namespace = namespaceOf(request);
  const params = new URLSearchParams(request.query as Record<string, string>);
  const resumed = await resumeReader(parts.cursors, namespace, params, undefined);
  const from = resumed === undefined ? undefined : resumeFrom(resumed);
  const leave = parts.streams.enter('long-poll');
  const disarm = parts.clock.after(waitMs, () => late.abort());
  try {
    let revision = from?.after ?? (await parts.space.status()).revision;
    const { pattern } = callOf(params, undefined);
    const tree = isSet(query.tree);
    const call = { tree, identity: from?.identity, after: revision, signal, pattern };
    const { groups, identity } = await openWatch(parts.space, namespace, pathOf(request), call);
    const answer = (events: readonly object[]): object => ({
      revision,
      id: `${revision}-${identity}`,
      events,
    });
    try {
      for await (const { events, resume } of groups) {
        revision = resume ?? revision;
        checkHolds(events, revision);
        if (events.length > 0) return answer(events.map(eventJson));
      }
    } catch (error) {
      if (!late.signal.aborted) throw error;
    }
    return answer([]);
  } finally {
    disarm();
    leave();
  }
}

/**
 * What changed is bounded by how an engine tells it; a resync is all that is there, and cannot be cut: who goes on in its middle would take
 * the rest for deleted.
 */
function checkHolds(events: Group['events'], revision: number): void {
  if (events[0]?.kind !== 'resync') return;
  let bytes = 0;
  for (const event of events) {
    bytes += event.path.length + (event.kind === 'put' ? event.value.length : 0);
  }
  if (bytes <= pageBytesMax && events.length <= resyncMax) return;
  const text =
    'what changed is not kept, and what is there is more than an answer holds: read it by ?tree, and go on after its revision';
  throw new WaymarkError('compacted', text, { revision });
}
