import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerOptions, startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
import { createMemoryEngine, type Engine, openEngine, openFileEngine } from 'waymark/engine';
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
  return await overServers([{ engine: 'memory' }]);
}

/** Each client in turn at the next of the servers. */
async function overServers(calls: readonly ServerOptions[]): Promise<RecipeContext> {
  const servers = await Promise.all(
    calls.map(
      async (call) => await startServer({ listen: ['127.0.0.1:0'], logLevel: 'silent', ...call }),
    ),
  );
  let next = 0;
  return await contextOf(
    (owner) => {
      const { addresses } = servers[next++ % servers.length] as (typeof servers)[number];
      return open(`http://${addresses[0]}`, { owner });
    },
    () => Promise.all(servers.map((server) => server.close())),
  );
}

let roots = 0;

/** A root of its own on an etcd that runs. */
function rootOn(address: string): string {
  return `etcd://${address}/recipes-${roots++}`;
}

export async function overEtcd(address: string): Promise<RecipeContext> {
  return await over(await openEngine(rootOn(address)));
}

/** Two servers over one etcd, of which one has a mirror: neighbours are clients of different ones. */
export async function overServersOnEtcd(address: string): Promise<RecipeContext> {
  const engine = rootOn(address);
  return await overServers([{ engine }, { engine, mirror: true }]);
}

export async function overPostgres(url: string): Promise<RecipeContext> {
  return await over(await openEngine(url));
}

/** Two servers over one schema, of which one has a mirror. */
export async function overServersOnPostgres(url: string): Promise<RecipeContext> {
  return await overServers([{ engine: url }, { engine: url, mirror: true }]);
}
