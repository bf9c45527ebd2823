import { afterAll, beforeAll, describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { overEtcd, overServersOnEtcd } from '../support/recipe-contexts.js';
import { etcdVersions } from '../support/versions.js';

describe.each(etcdVersions)('recipes on etcd %s', (version) => {
  let etcd: RunningEtcd;

  beforeAll(async () => {
    etcd = await startEtcd({ version });
  });

  afterAll(async () => {
    await etcd.stop();
  });

  recipeSuite({ name: 'in process', test, open: () => overEtcd(etcd.address) });
  recipeSuite({
    name: 'two servers, one with a mirror',
    test,
    open: () => overServersOnEtcd(etcd.address),
  });
});
