import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
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

/** @param client  opens one; closed before `cleanUp` */
async function contextOf(
  client: (owner: string) => Promise<Space>,
  cleanUp: () => Promise<unknown>,
): Promise<RecipeContext> {
  const clients: Space[] = [];
  const another = async (owner: string): Promise<Space> => {
    const space = await client(owner);
    clients.push(space);
    return space;
  };
  return {
    a: await another('a'),
    b: await another('b'),
    another,
    async close() {
      for (const space of clients) await space.close();
      await cleanUp();
    },
  };
}

/** Clients in this process, each with a host of its own over one engine. */
function over(
  engine: Engine,
  cleanUp: () => Promise<void> = async () => {},
): Promise<RecipeContext> {
  const client = async (owner: string): Promise<Space> =>
    createSpace(createLocalHost(engine), { clock: systemClock, random: systemRandom, owner });
  return contextOf(client, async () => {
    await engine[Symbol.asyncDispose]();
    await cleanUp();
  });
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
      return contextOf(
        (owner) => open(url, { owner }),
        () => server.close(),
      );
    },
  });
});
