import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine } from 'waymark/testing';
import { orNotRun } from '../support/not-run.js';
import { type RunningPgbouncer, startPgbouncer } from '../support/pgbouncer.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

/** A pooler takes LISTEN and passes no notification on: watches look by the time there. */
if (orNotRun('pgbouncer', 'engineSuite on PostgreSQL through a pooler of transactions') !== null) {
  describe('through pgbouncer', () => {
    let server: RunningPostgres;
    let pooler: RunningPgbouncer;
    let schemas = 0;

    beforeAll(async () => {
      server = await startPostgres();
      pooler = await startPgbouncer(server.port);
    });

    afterAll(async () => {
      await pooler.stop();
      await server.stop();
    });

    const open = async (): Promise<OpenedEngine> => {
      const engine = await openEngine(`${pooler.url}?schema=pooled-${schemas++}&poolMax=4`);
      return { engine, close: async () => await engine[Symbol.asyncDispose]() };
    };
    engineSuite({ name: 'pgbouncer', runner: { describe, test }, open });

    test('[K8] what another process commits is seen without notifications', async () => {
      const url = (base: string): string => `${base}?schema=pooled-watch`;
      await using pooled = await openEngine(url(pooler.url));
      await using direct = await openEngine(url(server.url));
      const watch = pooled.watch([{ key: 'k' }], { after: 0 })[Symbol.asyncIterator]();
      for (const value of ['1', '2', '3', '4', '5', '6']) {
        const since = performance.now();
        await direct.commit({ apply: [{ type: 'put', key: 'k', value }] });
        let seen: string[] = [];
        while (seen.length === 0) {
          const { value: batch } = await watch.next();
          seen = batch.changes.map(({ entry }: { entry: { value: string } }) => entry.value);
        }
        expect(seen).toEqual([value]);
        expect(performance.now() - since).toBeLessThan(2_000);
      }
      await watch.return?.();
    });
  });
}
