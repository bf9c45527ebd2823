import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { startServer } from '@waymark/server';
import { open } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  openFileEngine,
  systemClock,
  systemRandom,
  type Engine,
} from 'waymark/engine';
import { recipeSuite, type RecipeContext } from 'waymark/testing';

/** Two clients in this process, each with a host of its own over one engine. */
function over(engine: Engine, cleanUp: () => Promise<void> = async () => {}): RecipeContext {
  const client = (owner: string) =>
    createSpace(createLocalHost(engine), { clock: systemClock, random: systemRandom, owner });
  const a = client('a');
  const b = client('b');
  return {
    a,
    b,
    async close() {
      await a.close();
      await b.close();
      await engine[Symbol.asyncDispose]();
      await cleanUp();
    },
  };
}

describe('recipes', () => {
  recipeSuite({ name: 'memory', test, open: async () => over(createMemoryEngine()) });

  recipeSuite({
    name: 'file',
    test,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'waymark-'));
      return over(await openFileEngine(folder), () => rm(folder, { recursive: true }));
    },
  });

  recipeSuite({
    name: 'a server',
    test,
    open: async () => {
      const server = await startServer({
        listen: ['127.0.0.1:0'],
        engine: 'memory',
        logLevel: 'silent',
      });
      const url = `http://${server.addresses[0]}`;
      const a = await open(url, { owner: 'a' });
      const b = await open(url, { owner: 'b' });
      return {
        a,
        b,
        async close() {
          await a.close();
          await b.close();
          await server.close();
        },
      };
    },
  });
});
