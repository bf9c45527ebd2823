import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Engine, Entry } from 'waymark/engine';
import { answers } from './answers.js';

const pageSize = 500;

/**
 * Everything at one revision, as lines of JSON: a header, each key, and a footer with the count, so that a cut-off copy is told from
 * a whole one. Leases are not kept: their keys would outlive their owners.
 */
export function backupRoute(app: FastifyInstance, engine: Engine): void {
  app.get(
    '/v1/backup',
    { schema: { tags: ['operations'], response: answers.lines } },
    async (_request, reply) => {
      const { revision, identity } = await engine.status();
      return await reply
        .type('application/x-ndjson')
        .send(Readable.from(lines(engine, revision, identity)));
    },
  );
}

async function* lines(engine: Engine, revision: number, identity: string): AsyncGenerator<string> {
  yield `${JSON.stringify({ waymark: 'backup', format: 1, revision, identity })}\n`;
  let count = 0;
  for (let key = ''; ;) {
    const page = await engine.read({
      key,
      end: '',
      at: revision,
      limit: pageSize,
      uncounted: true,
    });
    const kept = page.entries.filter((entry) => entry.lease === 0);
    count += kept.length;
    yield kept.map(line).join('');
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) break;
    key = `${last.key}\0`;
  }
  yield `${JSON.stringify({ end: true, entries: count })}\n`;
}

function line({ key, value, createRevision, modRevision, version }: Entry): string {
  const text = { key: base64(key), value: base64(value), createRevision, modRevision, version };
  return `${JSON.stringify(text)}\n`;
}

function base64(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('base64');
}
