import { afterAll, beforeAll, describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { overPostgres, overServersOnPostgres } from '../support/recipe-contexts.js';
import { postgresVersions } from '../support/versions.js';

describe.each(postgresVersions)('recipes on PostgreSQL %s', (version) => {
  let server: RunningPostgres;
  let schemas = 0;

  beforeAll(async () => {
    server = await startPostgres({ version });
  });

  afterAll(async () => {
    await server.stop();
  });

  const url = (): string => `${server.url}?schema=recipes-${schemas++}`;
  recipeSuite({ name: 'in process', test, open: () => overPostgres(url()) });
  recipeSuite({
    name: 'two servers, one with a mirror',
    test,
    open: () => overServersOnPostgres(url()),
  });
});
