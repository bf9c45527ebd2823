import { afterAll, beforeAll, describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { openServedElsewhere, runsOf } from './engines.js';

let etcd: RunningEtcd;
let postgres: RunningPostgres;
let opened = 0;

beforeAll(async () => {
  [etcd, postgres] = await Promise.all([startEtcd(), startPostgres()]);
});

afterAll(async () => {
  await Promise.all([etcd.stop(), postgres.stop()]);
});

for (const [name, url] of [
  ['remote over etcd', () => `etcd://${etcd.address}/served-${opened++}`],
  ['remote over PostgreSQL', () => `${postgres.url}?schema=served-${opened++}`],
] as const) {
  const suite = { name, runner: { describe, test }, open: () => openServedElsewhere(url()) };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('remote-elsewhere.test.ts', 10) });
}
