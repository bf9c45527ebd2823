import { startEtcd } from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { KV, Lock } from 'waymark/etcd';
import { EtcdApi } from './client.js';
import { WatchClient } from './watch-client.js';

const startMsMax = 100;

test('an etcd for tests starts in less than 100 ms, and answers', async () => {
  const took: number[] = [];
  for (let n = 0; n < 20; n++) {
    const since = performance.now();
    await using etcd = await startEtcd();
    took.push(performance.now() - since);
    if (n === 0) await answers(etcd.address);
  }
  took.sort((a, b) => a - b);
  console.log(`started in ${took[10]?.toFixed(1)} ms, at most ${took.at(-1)?.toFixed(1)} ms`);
  expect(took[10]).toBeLessThan(startMsMax);
});

test('an etcd for tests that many watch and wait at warns of nothing', async () => {
  const warnings: string[] = [];
  const heard = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', heard);
  await using etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  const watches = Array.from({ length: 20 }, () => new WatchClient(api));
  const name = Buffer.from('lock');
  const locks = watches.map(() => api.call(Lock.method.lock, { name }).catch(() => undefined));
  for (const watch of watches)
    expect((await watch.created({ key: Buffer.from('a') })).created).toBe(true);
  await Promise.race(locks);
  for (const watch of watches) watch[Symbol.dispose]();
  process.off('warning', heard);
  expect(warnings).toEqual([]);
});

async function answers(address: string): Promise<void> {
  using api = new EtcdApi(address);
  const { header } = await api.call(KV.method.put, { key: Buffer.from('a') });
  expect(header?.revision).toBe(2n);
}
