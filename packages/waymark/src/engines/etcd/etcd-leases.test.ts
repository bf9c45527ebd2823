import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import type { EtcdClient } from './etcd-client.js';
import { toWaymarkError } from './etcd-errors.js';
import { EtcdLeases } from './etcd-leases.js';
import { Lease } from './gen/etcd_pb.js';
import { Layout } from './layout.js';

test('[K10] a lease that ends before etcd has written its marker was not granted: unavailable, and not a lease that is unknown', async () => {
  const call = async (method: unknown): Promise<unknown> => {
    if (method === Lease.method.leaseGrant) return { TTL: 1n };
    throw toWaymarkError({ code: 5, details: 'etcdserver: requested lease not found' }, 'read');
  };
  const client = { call } as unknown as EtcdClient;
  const leases = new EtcdLeases(client, new Layout('root'), {
    clock: systemClock,
    random: systemRandom,
    timeoutMs: 1_000,
  });
  const granting = leases.grant(1_000, { id: 7 });
  await expect(granting).rejects.toMatchObject({ code: 'unavailable', facts: { lease: 7 } });
});
