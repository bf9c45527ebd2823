import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
import { createMemoryEngine, type Engine, openFileEngine } from 'waymark/engine';
import type { RecipeContext } from 'waymark/testing';
import { spaceOver } from './spaces.js';

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
  return contextOf(
    async (owner) => spaceOver(engine, owner),
    async () => {
      await engine[Symbol.asyncDispose]();
      await cleanUp();
    },
  );
}

export async function overMemory(): Promise<RecipeContext> {
  return await over(createMemoryEngine());
}

export async function overFile(): Promise<RecipeContext> {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-'));
  return await over(await openFileEngine(folder), () => rm(folder, { recursive: true }));
}

export async function overServer(): Promise<RecipeContext> {
  const server = await startServer({
    listen: ['127.0.0.1:0'],
    engine: 'memory',
    logLevel: 'silent',
  });
  const url = `http://${server.addresses[0]}`;
  return await contextOf(
    (owner) => open(url, { owner }),
    () => server.close(),
  );
}
