import { afterAll, beforeAll, describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { overPostgres } from '../support/recipe-contexts.js';

let server: RunningPostgres;
let schemas = 0;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

describe('recipes', () => {
  const open = () => overPostgres(`${server.url}?schema=recipes-${schemas++}`);
  recipeSuite({ name: 'PostgreSQL', test, open });
});
