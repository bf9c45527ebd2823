import { afterAll, beforeAll, describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { overPostgres, overServersOnPostgres } from '../support/recipe-contexts.js';

let server: RunningPostgres;
let schemas = 0;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

describe('recipes', () => {
  const url = (): string => `${server.url}?schema=recipes-${schemas++}`;
  recipeSuite({ name: 'PostgreSQL in process', test, open: () => overPostgres(url()) });
  recipeSuite({
    name: 'two servers over PostgreSQL',
    test,
    open: () => overServersOnPostgres(url()),
  });
});
