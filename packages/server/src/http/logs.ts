import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { codecs, type Log, type LogEntry, type Page } from 'waymark';
import { durationMs, goneSignal, holdOf, namespaceOf, pathOf } from './inputs.js';
import { utf8 } from './keys.js';
import type { WatchParts } from './streams.js';

/** Logs: an entry's value is the body, byte for byte, and its position is the answer. */

const position = Type.Integer({ minimum: 0 });
const wall = Type.Integer({ description: 'wall clock of the server, ms since 1970' });

const entry = Type.Object({
  position,
  author: Type.String(),
  at: wall,
  revision: position,
  value: Type.Optional(Type.String({ description: 'the value as text, when it is UTF-8' })),
  base64: Type.String({ description: 'the value, byte for byte' }),
});

const logAnswers = {
  page: {
    200: Type.Object({ entries: Type.Array(entry), more: Type.Boolean(), revision: position }),
  },
  appended: {
    200: Type.Object({
      position,
      at: wall,
      revision: position,
      repeated: Type.Boolean({ description: 'an entry with this id was there already' }),
    }),
  },
  retained: {
    200: Type.Object({
      first: Type.Integer({ description: 'the oldest position that is kept' }),
      next: Type.Integer({ description: 'the position the next entry gets' }),
      entries: Type.Optional(Type.Integer()),
      ageMs: Type.Optional(Type.Integer()),
    }),
  },
};

const appendQuery = Type.Object({
  id: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{1,64}$',
      description: 'a repeated request with it finds the entry',
    }),
  ),
  author: Type.Optional(Type.String({ maxLength: 256, description: 'default the server' })),
});

const readQuery = Type.Object({
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000, description: 'default 100, and 8 MiB' }),
  ),
  from: Type.Optional(
    Type.Enum(['newest', 'oldest'], { description: 'default newest; with wait oldest' }),
  ),
  after: Type.Optional(
    Type.Integer({ minimum: 0, description: 'go on after this position, in that direction' }),
  ),
  wait: Type.Optional(
    Type.String({ description: 'long poll: wait so long (30s) for an entry after `after`' }),
  ),
});

const retention = Type.Object(
  {
    entries: Type.Optional(Type.Integer({ minimum: 1, description: 'keep at most so many' })),
    ageMs: Type.Optional(Type.Integer({ minimum: 1, description: 'keep none that is older' })),
  },
  { additionalProperties: false },
);

interface ReadQuery {
  readonly limit?: number;
  readonly from?: 'newest' | 'oldest';
  readonly after?: number;
  readonly wait?: string;
}

const tags = ['logs'];
const urls = ['/v1/ns/:ns/logs', '/v1/ns/:ns/logs/*'];

export function logRoutes(app: FastifyInstance, parts: WatchParts): void {
  const logOf = (request: FastifyRequest): Log<Uint8Array> =>
    parts.space.namespace(namespaceOf(request), { codec: codecs.bytes }).log(pathOf(request));
  // Bodies are values here: what changes retention is registered apart.
  void app.register(async (values) => {
    values.removeAllContentTypeParsers();
    values.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body),
    );
    for (const url of urls) {
      const schema = { querystring: appendQuery, tags, response: logAnswers.appended };
      values.post(url, { schema: { ...schema, summary: 'append an entry' } }, async (request) => {
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const query = request.query as { id?: string; author?: string };
        return await logOf(request).append(body, { ...query, hold: holdOf(request) });
      });
    }
  });
  for (const url of urls) {
    app.get(
      url,
      {
        schema: {
          querystring: readQuery,
          tags,
          summary: 'entries, newest first unless told',
          response: logAnswers.page,
        },
      },
      async (request, reply) => {
        const { wait, ...query } = request.query as ReadQuery;
        const log = logOf(request);
        const page =
          wait === undefined
            ? await readPage(log, query)
            : await longPoll(parts, reply, log, { ...query, waitMs: durationMs(wait) });
        return { ...page, entries: page.entries.map(entryJson) };
      },
    );
    app.patch(
      url,
      {
        schema: {
          body: retention,
          tags,
          summary: 'set what is kept; the rest goes',
          response: logAnswers.retained,
        },
      },
      async (request) => await logOf(request).retain(request.body as { entries?: number }),
    );
  }
}

/** A page ends early once its values have come to this. */
const pageBytesMax = 8_388_608;
const stepMax = 32;

/** Reads in small steps, so that a thousand large values never stand in memory together. */
async function readPage(
  log: Log<Uint8Array>,
  { limit = 100, from = 'newest', after }: ReadQuery,
): Promise<Page<LogEntry<Uint8Array>>> {
  const entries: LogEntry<Uint8Array>[] = [];
  let last = after;
  for (let bytes = 0; ;) {
    const step = Math.min(stepMax, limit - entries.length);
    const page = await log.read({ from, after: last, limit: step });
    entries.push(...page.entries);
    for (const { value } of page.entries) bytes += value.length;
    if (!page.more || entries.length >= limit || bytes >= pageBytesMax) return { ...page, entries };
    last = page.entries.at(-1)?.position;
  }
}

/** Answers with the entries after `after`, or with none when the time is up. */
async function longPoll(
  parts: WatchParts,
  reply: FastifyReply,
  log: Log<Uint8Array>,
  { waitMs, limit, after }: ReadQuery & { readonly waitMs: number },
): Promise<Page<LogEntry<Uint8Array>>> {
  const late = new AbortController();
  const signal = AbortSignal.any([late.signal, goneSignal(reply, parts.stopping)]);
  const leave = parts.streams.enter('long-poll');
  const disarm = parts.clock.after(waitMs, () => late.abort());
  try {
    const start = after ?? (await log.info()).next - 1;
    try {
      // The first shows that there is something to read; what came with it is read beside it.
      for await (const _entry of log.watch({ after: start, signal })) break;
    } catch (error) {
      if (!late.signal.aborted) throw error;
    }
    return await readPage(log, { from: 'oldest', after: start, ...(limit && { limit }) });
  } finally {
    disarm();
    leave();
  }
}

function entryJson({ value, ...facts }: LogEntry<Uint8Array>): object {
  const bytes = Buffer.from(value);
  const text = utf8(bytes);
  return { ...facts, ...(text === null ? {} : { value: text }), base64: bytes.toString('base64') };
}
