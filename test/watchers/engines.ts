import type { OpenOptions } from 'waymark';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryEngine, type Engine, openEngine, openFileEngine } from 'waymark/engine';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { startPostgres } from '../support/postgres.js';

/** What keeps engines: a server of its own, or this process. */
export interface Ground {
  /** An engine that nothing was written to. */
  readonly open: () => Promise<Engine>;
  /** Such a one, opened as often as it is called: by connections of their own where it can be. */
  readonly shared: () => Shared;
  readonly stop: () => Promise<void>;
}

export interface Shared extends AsyncDisposable {
  open(history?: OpenOptions['history']): Promise<Engine>;
}

export interface EngineHere {
  readonly name: string;
  readonly start: () => Promise<Ground>;
}

/** Servers that several processes may open the same engine at, each by a URL of its own. */
export interface Server {
  readonly url: () => string;
  readonly stop: () => Promise<void>;
}

const servers: Readonly<Record<string, () => Promise<Server>>> = {
  'etcd-3.4': async () => {
    const etcd = await startEtcd();
    return { url: () => `etcd://${etcd.address}/${fresh()}`, stop: () => etcd.stop() };
  },
  'postgres-15': async () => {
    const postgres = await startPostgres();
    return { url: () => `${postgres.url}?schema=w${fresh()}`, stop: () => postgres.stop() };
  },
};

/** @param what  is not run where the server is not there */
export function serversFor(
  what: string,
): readonly { readonly name: string; readonly start: () => Promise<Server> }[] {
  return Object.entries(servers).flatMap(([name, start]) =>
    orNotRun(name as 'etcd-3.4', `${what} over ${name}`) === null ? [] : [{ name, start }],
  );
}

/** Every engine that watchers may be registered in. */
export function enginesFor(what: string): readonly EngineHere[] {
  const shared = serversFor(what).map(({ name, start }) => ({
    name,
    start: async (): Promise<Ground> => {
      const { url, stop } = await start();
      return { open: () => openEngine(url()), shared: () => opened(url()), stop };
    },
  }));
  return [{ name: 'memory', start: inMemory }, { name: 'file', start: inFiles }, ...shared];
}

async function inMemory(): Promise<Ground> {
  const open = async (): Promise<Engine> => createMemoryEngine();
  return { open, shared: () => alone(open), stop: async () => undefined };
}

async function inFiles(): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-watchers-'));
  const open = (): Promise<Engine> => openFileEngine(join(folder, fresh()));
  return { open, shared: () => alone(open), stop: () => rm(folder, { recursive: true }) };
}

/** One process has it, and everybody the same. */
function alone(open: () => Promise<Engine>): Shared {
  let engine: Promise<Engine> | null = null;
  return {
    open: () => (engine ??= open()),
    async [Symbol.asyncDispose]() {
      await (await engine)?.[Symbol.asyncDispose]();
    },
  };
}

function opened(url: string): Shared {
  const engines: Engine[] = [];
  return {
    async open(history) {
      const engine = await openEngine(url, { history });
      engines.push(engine);
      return engine;
    },
    async [Symbol.asyncDispose]() {
      for (const engine of engines) await engine[Symbol.asyncDispose]();
    },
  };
}

function fresh(): string {
  return randomBytes(6).toString('hex');
}
