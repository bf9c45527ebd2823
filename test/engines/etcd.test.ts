import { afterAll, beforeAll, describe, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { runsOf } from './engines.js';

let etcd: RunningEtcd;
let roots = 0;

beforeAll(async () => {
  etcd = await startEtcd();
});

afterAll(async () => {
  await etcd.stop();
});

/** A root of its own in the one etcd; nothing is left in it. */
async function open(): Promise<OpenedEngine> {
  const engine = await openEngine(`etcd://${etcd.address}/suite-${roots++}`);
  const close = async (): Promise<void> => {
    for (const id of await engine.leases()) await engine.revoke(id);
    await engine[Symbol.asyncDispose]();
  };
  return { engine, close };
}

const suite = { name: 'etcd', runner: { describe, test }, open };

engineSuite(suite);
propertySuite({ ...suite, ...runsOf('etcd.test.ts', 20) });
