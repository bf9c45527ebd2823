import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Engine } from 'waymark/engine';
import { backupLines } from '../backup.js';
import { answers } from './answers.js';
import type { Callers } from './callers.js';

export function backupRoute(app: FastifyInstance, engine: Engine, callers: Callers): void {
  app.get(
    '/v1/backup',
    { schema: { tags: ['operations'], response: answers.lines } },
    async (_request, reply) => {
      const { revision, identity } = await engine.status();
      const { caller } = callers.current;
      const lines = Readable.from(backupLines(engine, { revision, identity }));
      const check = (): void => caller.demandRoot('GET /v1/backup');
      lines.once(
        'close',
        caller.whileAllowed(check, (error) => lines.destroy(error as Error)),
      );
      return await reply.type('application/x-ndjson').send(lines);
    },
  );
}
