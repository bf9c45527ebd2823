import { startEtcd as startWaymark } from '@waymark/server/testing';
import { afterAll, beforeAll, describe } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { EtcdApi } from './client.js';

/** Waymark with either layer of HTTP/2 below it. */
export type EtcdKind = 'waymark' | 'waymark on node:http2' | 'etcd 3.4' | 'etcd 3.5';

/** An etcd that a suite runs on. */
export interface Served {
  readonly kind: EtcdKind;
  readonly address: string;
  readonly api: EtcdApi;
}

/** How often quiet watches hear of progress where that can be set: here, and on etcd 3.5. */
export const progressNotifyMs = 200;

/** Declares a suite on Waymark, and on etcd itself, which shows that the suite is right. */
export function onEachEtcd(suite: (served: () => Served, kind: EtcdKind) => void): void {
  onFreshEtcds((start, kind) => suite(during(kind, start), kind));
}

/** As `onEachEtcd`, for tests of which each starts an etcd of its own. */
export function onFreshEtcds(suite: (start: StartAnEtcd, kind: EtcdKind) => void): void {
  describe('waymark', () => suite(() => waymark('own'), 'waymark'));
  const onNode = 'waymark on node:http2';
  describe(onNode, () => suite(() => waymark('node'), onNode));
  for (const version of ['3.4', '3.5'] as const) {
    if (orNotRun(`etcd-${version}`, `the suite on etcd ${version} itself`) === null) continue;
    const interval = `--experimental-watch-progress-notify-interval=${progressNotifyMs}ms`;
    const flags = version === '3.5' ? [interval] : [];
    describe(`etcd ${version}`, () =>
      suite(() => startEtcd({ version, flags }), `etcd ${version}`));
  }
}

export type StartAnEtcd = () => Promise<Started>;

export interface Started {
  readonly address: string;
  stop(): Promise<void>;
}

async function waymark(http2: 'own' | 'node'): Promise<Started> {
  const { address, close } = await startWaymark({ progressNotifyMs, http2 });
  return { address, stop: close };
}

function during(kind: EtcdKind, start: StartAnEtcd): () => Served {
  let started: Started;
  let served: Served;
  beforeAll(async () => {
    started = await start();
    const { address } = started;
    served = { kind, address, api: new EtcdApi(address) };
  });
  afterAll(async () => {
    served.api[Symbol.dispose]();
    await started.stop();
  });
  return () => served;
}
