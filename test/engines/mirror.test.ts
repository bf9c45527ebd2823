import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Engine, mirror, openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { openMemory, runsOf } from './engines.js';

let etcd: RunningEtcd;
let postgres: RunningPostgres;
let opened = 0;

beforeAll(async () => {
  [etcd, postgres] = await Promise.all([startEtcd(), startPostgres()]);
});

afterAll(async () => {
  await Promise.all([etcd.stop(), postgres.stop()]);
});

/** A mirror that stands. */
async function mirrored(engine: Engine, options: Parameters<typeof mirror>[1]): Promise<Engine> {
  return await new Promise((resolve) => {
    const made = mirror(engine, {
      ...options,
      told: ({ state }) => {
        if (state === 'standing') resolve(made);
      },
    });
  });
}

async function overMemory(): Promise<OpenedEngine> {
  const opened = await openMemory();
  const engine = await mirrored(opened.engine, { clock: opened.clock });
  return { ...opened, engine, close: () => Promise.resolve(engine[Symbol.asyncDispose]()) };
}

async function overElsewhere(url: string): Promise<OpenedEngine> {
  const engine = await mirrored(await openEngine(url), {});
  const close = async (): Promise<void> => {
    for (const id of await engine.leases()) await engine.revoke(id);
    await engine[Symbol.asyncDispose]();
  };
  return { engine, close };
}

for (const [name, open, runs] of [
  ['mirror over memory', overMemory, 200],
  ['mirror over etcd', () => overElsewhere(`etcd://${etcd.address}/mirror-${opened++}`), 10],
  ['mirror over PostgreSQL', () => overElsewhere(`${postgres.url}?schema=mirror-${opened++}`), 10],
] as const) {
  const suite = { name, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('mirror.test.ts', runs) });
}
