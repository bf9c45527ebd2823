import { afterAll, beforeAll, describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { openServedElsewhere, runsOf } from './engines.js';

let etcd: RunningEtcd;
let roots = 0;

beforeAll(async () => {
  etcd = await startEtcd();
});

afterAll(async () => {
  await etcd.stop();
});

const open = () => openServedElsewhere(`etcd://${etcd.address}/served-${roots++}`);
const suite = { name: 'remote over etcd', runner: { describe, test }, open };

engineSuite(suite);
propertySuite({ ...suite, ...runsOf('remote-etcd.test.ts', 10) });
