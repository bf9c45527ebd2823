import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Engine, mirror, openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { openMemory, runsOf } from './engines.js';

let etcd: RunningEtcd;
let roots = 0;

beforeAll(async () => {
  etcd = await startEtcd();
});

afterAll(async () => {
  await etcd.stop();
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

async function overEtcd(): Promise<OpenedEngine> {
  const engine = await mirrored(await openEngine(`etcd://${etcd.address}/mirror-${roots++}`), {});
  const close = async (): Promise<void> => {
    for (const id of await engine.leases()) await engine.revoke(id);
    await engine[Symbol.asyncDispose]();
  };
  return { engine, close };
}

for (const [name, open, runs] of [
  ['mirror over memory', overMemory, 200],
  ['mirror over etcd', overEtcd, 10],
] as const) {
  const suite = { name, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('mirror.test.ts', runs) });
}
