import { Etcd3 } from 'etcd3';
import { type LockService, openLockService } from './etcd-lock-service.js';
import type { Client } from './client.js';

export async function connectEtcd(address: string): Promise<Client> {
  const client = new Etcd3({ hosts: address });
  let stream: Promise<Renewals> | undefined;
  return {
    put: (key, value) => client.put(key).value(value).exec(),
    get: (key) => client.get(key).string(),
    cas: async (key, value, expected) => {
      const answer = await client
        .if(key, 'Mod', '==', (expected as string | undefined) ?? 0)
        .then(client.put(key).value(value))
        .commit();
      if (!answer.succeeded) throw new Error('cas');
      return answer.header.revision;
    },
    lock: async (name) => {
      const lock = client.lock(name).ttl(10);
      await lock.acquire();
      return () => lock.release();
    },
    elect: async (name) => {
      const campaign = client.election(name, 10).campaign(name);
      await new Promise<void>((resolve, reject) => {
        campaign.once('elected', () => resolve()).once('error', reject);
      });
      return () => campaign.resign();
    },
    grant: async () => (await client.leaseClient.leaseGrant({ TTL: 600 })).ID,
    renew: async (id) => {
      stream ??= openRenewals(client);
      return (await stream).renew(String(id));
    },
    publish: (topic, value) => client.put(topic).value(value).exec(),
    subscribe: async (topic, watchers, told) => {
      for (let watcher = 0; watcher < watchers; watcher++) {
        const watch = await client.watch().key(topic).create();
        watch.on('put', (entry) =>
          told(watcher, entry.value.toString(), Number(entry.mod_revision)),
        );
      }
    },
    close: async () => client.close(),
  };
}

interface Renewals {
  renew(id: string): Promise<void>;
}

/** All renewals over one stream, as etcd's own clients do. */
async function openRenewals(client: Etcd3): Promise<Renewals> {
  const stream = await client.leaseClient.leaseKeepAlive();
  const waiting = new Map<string, () => void>();
  stream.on('data', (answer) => {
    const resolve = waiting.get(answer.ID);
    waiting.delete(answer.ID);
    resolve?.();
  });
  return {
    renew: (id) =>
      new Promise((resolve) => {
        waiting.set(id, resolve);
        stream.write({ ID: id });
      }),
  };
}

/** The Lock service of etcd itself, under one lease a connection. */
export async function connectEtcdLockService(address: string): Promise<Client> {
  const client = new Etcd3({ hosts: address });
  const { ID } = await client.leaseClient.leaseGrant({ TTL: 600 });
  const service: LockService = openLockService(address);
  return {
    lock: async (name) => {
      const key = await service.lock(name, BigInt(ID));
      return () => service.unlock(key);
    },
    close: async () => {
      service.close();
      client.close();
    },
  };
}
