import { afterAll, beforeAll, describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { overEtcd, overServersOnEtcd } from '../support/recipe-contexts.js';

let etcd: RunningEtcd;

beforeAll(async () => {
  etcd = await startEtcd();
});

afterAll(async () => {
  await etcd.stop();
});

describe('recipes', () => {
  recipeSuite({ name: 'etcd in process', test, open: () => overEtcd(etcd.address) });
  recipeSuite({
    name: 'two servers over etcd, one with a mirror',
    test,
    open: () => overServersOnEtcd(etcd.address),
  });
});
