import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { codecs, limits, type Space, type StashIndex, type StashKey, WaymarkError } from 'waymark';
import { jsonLines } from '../stash/json-lines.js';
import { keyFromJson, keyToJson, valueFromJson, valueToJson } from '../stash/key-json.js';
import { goneSignal, rawPath } from './inputs.js';
import { type BatchTally, type FoundJson, foundToJson, runBatch } from './stash-batch.js';
import { stashOperatorRoutes } from './stash-operator.js';

/** The stash: an entry's value is the body, byte for byte. */

const level = Type.Optional(
  Type.Enum(['quorum', 'one'], {
    description: 'quorum (the default): every acknowledged write is seen; one: the nearest replica',
  }),
);

const acknowledged = Type.Object({
  replicas: Type.Integer({ description: 'copies that there are' }),
  flushed: Type.Integer({ description: 'of these have it on disk' }),
});

const key = Type.Unknown({
  description: 'a text or a number, an array of these, {"bigint":"12"} or {"base64":"…"}',
});

const entry = Type.Object({
  key,
  value: Type.Optional(Type.String({ description: 'the value as text, when it is UTF-8' })),
  base64: Type.Optional(Type.String({ description: 'the value, byte for byte' })),
});

const page = Type.Object({
  entries: Type.Array(entry),
  next: Type.Union([Type.String(), Type.Null()], {
    description:
      'go on after this; null: that was all. A page without entries need not be the last',
  }),
});

const scanQuery = Type.Object({
  prefix: Type.Optional(Type.String({ description: 'keys that begin with this text' })),
  after: Type.Optional(Type.String({ description: '`next` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: 'default 1000' })),
});

const batchBody = Type.Object(
  {
    put: Type.Optional(Type.Array(Type.Object({ ...entry.properties }))),
    delete: Type.Optional(Type.Array(key)),
    get: Type.Optional(Type.Array(key)),
    ttlMs: Type.Optional(Type.Integer({ minimum: 1, description: 'of what is put' })),
  },
  { additionalProperties: false },
);

const batchAnswer = Type.Object({
  put: Type.Integer(),
  deleted: Type.Integer(),
  got: Type.Array(Type.Object({ ...entry.properties, found: Type.Boolean() })),
});

const tags = ['stash'];

/** Of the values of an answer that is made at once. */
const gotBytesMax = 16_777_216;

export function stashRoutes(app: FastifyInstance, space: Space): void {
  app.get(
    '/v1/stash',
    {
      schema: {
        tags,
        summary: 'indexes that have entries',
        response: { 200: Type.Object({ indexes: Type.Array(Type.String()) }) },
      },
    },
    async () => ({ indexes: await space.stash.indexes() }),
  );
  app.get(
    '/v1/stash/:index',
    {
      schema: { tags, querystring: scanQuery, summary: 'entries, a page', response: { 200: page } },
    },
    async (request) => {
      const found = await indexOf(space, request).page(request.query as Static<typeof scanQuery>);
      const entries = found.entries.map(([at, value]) => ({
        key: keyToJson(at),
        ...valueToJson(value),
      }));
      return { entries, next: found.next };
    },
  );
  stashOperatorRoutes(app, space);
  entryRoutes(app, space);
  batchRoutes(app, space);
}

function entryRoutes(app: FastifyInstance, space: Space): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  const url = '/v1/stash/:index/*';
  const readQuery = Type.Object({ level });
  const binary = { schema: { type: 'string', format: 'binary' } };
  const content = { 'application/octet-stream': binary };
  const bytes = { 200: { description: 'the value, byte for byte', content } };
  app.get(
    url,
    { schema: { tags, querystring: readQuery, response: bytes }, exposeHeadRoute: true },
    async (request, reply) => {
      const at = keyOf(request);
      const value = await indexOf(space, request).get(at, request.query as object);
      if (value === undefined) throw new WaymarkError('not_found', `'${at}' is not there`);
      return await reply
        .headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' })
        .type('application/octet-stream')
        .send(Buffer.from(value));
    },
  );
  const writeQuery = Type.Object({
    ttl: Type.Optional(Type.String({ description: 'it goes after so long: 30s, 10m, 12h, 7d' })),
  });
  app.put(
    url,
    { schema: { tags, querystring: writeQuery, response: { 200: acknowledged } } },
    async (request) => {
      const { ttl } = request.query as Static<typeof writeQuery>;
      const ttlMs = ttl === undefined ? undefined : ttlMsOf(ttl);
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      return await indexOf(space, request).put(keyOf(request), body, { ttlMs });
    },
  );
  app.delete(
    url,
    { schema: { tags, response: { 200: acknowledged } } },
    async (request) => await indexOf(space, request).delete(keyOf(request)),
  );
}

const ndjson = 'application/x-ndjson';

/** `POST /v1/stash/{index}:batch`, in JSON at once, or as lines of JSON of any number. */
function batchRoutes(app: FastifyInstance, space: Space): void {
  app.addContentTypeParser(ndjson, (_request, payload, done) => done(null, payload));
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, JSON.parse(String(body)));
    } catch (cause) {
      done(new WaymarkError('invalid', 'the body is not JSON', {}, cause));
    }
  });
  // Lines are looked at one by one.
  const body = { content: { 'application/json': { schema: batchBody } } };
  const schema = { tags, summary: 'many at once', body, response: { 200: batchAnswer } };
  app.post(
    '/v1/stash/:index',
    // In the document: {index}:batch.
    { schema, config: { shownUrl: '/v1/stash/:index(.+)::batch', streamed: ndjson } },
    async (request, reply) => {
      const index = batchIndexOf(space, request);
      if (request.body instanceof Readable) return await streamed(index, request, reply);
      return await answeredAtOnce(index, request.body as Static<typeof batchBody>);
    },
  );
}

async function answeredAtOnce(
  index: StashIndex<Uint8Array>,
  { put = [], delete: gone = [], get = [], ttlMs }: Static<typeof batchBody>,
): Promise<Static<typeof batchAnswer>> {
  const entries = put.map((one) => [keyFromJson(one.key), valueFromJson(one)] as const);
  const count = await index.putMany(entries, { ttlMs });
  const deleted = await index.deleteMany(gone.map(keyFromJson));
  const got: FoundJson[] = [];
  let bytes = 0;
  for await (const [, value] of index.getEach(get.map(keyFromJson))) {
    bytes += value?.length ?? 0;
    if (bytes > gotBytesMax) throw tooMuch();
    got.push(foundToJson(get[got.length], value));
  }
  return { put: count, deleted, got };
}

function tooMuch(): WaymarkError {
  const why = `values of more than ${gotBytesMax} bytes are not told at once: get fewer, or send lines as ${ndjson}; what was to be put and deleted is done`;
  return new WaymarkError('too_large', why, { limit: 'gotBytes', max: gotBytesMax });
}

/** A line for each `get`, in their order, and one with the sums or the error behind all. */
async function streamed(
  index: StashIndex<Uint8Array>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const signal = goneSignal(reply);
  const tally: BatchTally = { put: 0, deleted: 0, got: 0 };
  const lines = runBatch(index, jsonLines(request.body as Readable), { signal, tally });
  return await reply.type(ndjson).send(Readable.from(lines));
}

/** `30s`, `12h`; a number is of milliseconds. Longer than other durations: up to a year. */
function ttlMsOf(text: string): number {
  const [, amount, unit = 'ms'] = /^(\d{1,12})(ms|s|m|h|d)?$/.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = {
    ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  };
  const ms = Number(amount) * (units[unit] as number);
  if (ms >= 1 && ms <= limits.ttlMsMax) return ms;
  const shown = text.slice(0, 40);
  throw new WaymarkError('invalid', `ttl '${shown}' is no time up to 365d: take 30s, 10m or 12h`);
}

function indexOf(space: Space, request: FastifyRequest): StashIndex<Uint8Array> {
  return space.stash.index(segmentsOf(request)[0] ?? '', { codec: codecs.bytes });
}

function batchIndexOf(space: Space, request: FastifyRequest): StashIndex<Uint8Array> {
  const [name = ''] = segmentsOf(request);
  const suffix = ':batch';
  if (!name.endsWith(suffix)) {
    throw new WaymarkError('not_found', `no route POST ${request.url}: take …${suffix}`);
  }
  return space.stash.index(name.slice(0, -suffix.length), { codec: codecs.bytes });
}

/** The whole rest of the path, slashes and all, as one text. */
function keyOf(request: FastifyRequest): StashKey {
  return segmentsOf(request).slice(1).join('/');
}

function segmentsOf(request: FastifyRequest): string[] {
  return rawPath(request.raw.url ?? '')
    .split('/')
    .slice(3)
    .map((segment) => {
      try {
        return decodeURIComponent(segment);
      } catch {
        const shown = segment.slice(0, 80);
        throw new WaymarkError('invalid', `'${shown}' is not percent-encoded UTF-8`);
      }
    });
}
