import { afterAll, beforeAll, describe } from 'vitest';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { createMemoryEngine, type Engine } from 'waymark/engine';
import { Lease } from 'waymark/etcd';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { EtcdApi } from './client.js';

/** The server under test, as a suite sees it: an etcd. */
export interface Served {
  readonly name: 'waymark' | 'etcd';
  readonly address: string;
  readonly api: EtcdApi;
  grant(ttlSeconds: number): Promise<bigint>;
  revoke(lease: bigint): Promise<void>;
}

/** Declares a suite twice: over Waymark, and over etcd itself, which shows that the suite is right. */
export function onBoth(suite: (served: () => Served) => void): void {
  describe('waymark', () => suite(during('waymark', waymark)));
  if (orNotRun('etcd-3.4', 'the suite over etcd itself') !== null)
    describe('etcd', () =>
      suite(
        during('etcd', async () => {
          const { address, stop } = await startEtcd();
          return { address, stop };
        }),
      ));
}

interface Started {
  readonly address: string;
  readonly engine?: Engine;
  stop(): Promise<void>;
}

async function waymark(): Promise<Started> {
  const engine = createMemoryEngine();
  const { address, close } = await startWaymark({ engine });
  return {
    address,
    engine,
    stop: async () => {
      await close();
      await engine[Symbol.asyncDispose]();
    },
  };
}

function during(name: Served['name'], start: () => Promise<Started>): () => Served {
  let started: Started;
  let served: Served;
  beforeAll(async () => {
    started = await start();
    const { address, engine } = started;
    const api = new EtcdApi(address);
    served = {
      name,
      address,
      api,
      grant: async (seconds) =>
        engine
          ? BigInt((await engine.grant(seconds * 1_000)).id)
          : (await api.call(Lease.method.leaseGrant, { TTL: BigInt(seconds) })).ID,
      revoke: async (lease) => {
        if (engine) await engine.revoke(Number(lease));
        else await api.call(Lease.method.leaseRevoke, { ID: lease });
      },
    };
  });
  afterAll(async () => {
    served.api[Symbol.dispose]();
    await started.stop();
  });
  return () => served;
}
