import { afterAll, beforeAll, describe, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { orNotRun } from '../support/not-run.js';
import { type PostgresVersion, type RunningPostgres, startPostgres } from '../support/postgres.js';
import { runsOf } from './engines.js';

for (const version of [15, 18] as const) {
  const what = `engineSuite and propertySuite on PostgreSQL ${version}`;
  if (orNotRun(`postgres-${version}`, what) !== null) onVersion(version);
}

function onVersion(version: PostgresVersion): void {
  describe(`PostgreSQL ${version}`, () => {
    let server: RunningPostgres;
    let schemas = 0;
    beforeAll(async () => {
      server = await startPostgres({ version });
    });
    afterAll(async () => {
      await server.stop();
    });
    /** A schema of its own in the one server. */
    const open = async (): Promise<OpenedEngine> => {
      const engine = await openEngine(`${server.url}?schema=suite-${schemas++}`);
      return { engine, close: async () => await engine[Symbol.asyncDispose]() };
    };
    const suite = { name: `PostgreSQL ${version}`, runner: { describe, test }, open };
    engineSuite(suite);
    propertySuite({ ...suite, ...runsOf('postgres.test.ts', 15) });
  });
}
