import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Engine } from 'waymark/engine';
import { backupLines } from '../backup.js';
import { answers } from './answers.js';

export function backupRoute(app: FastifyInstance, engine: Engine): void {
  app.get(
    '/v1/backup',
    { schema: { tags: ['operations'], response: answers.lines } },
    async (_request, reply) => {
      const { revision, identity } = await engine.status();
      return await reply
        .type('application/x-ndjson')
        .send(Readable.from(backupLines(engine, { revision, identity })));
    },
  );
}
