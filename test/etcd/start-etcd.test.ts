import { startEtcd } from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { KV } from 'waymark/etcd';
import { EtcdApi } from './client.js';

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

async function answers(address: string): Promise<void> {
  using api = new EtcdApi(address);
  const { header } = await api.call(KV.method.put, { key: Buffer.from('a') });
  expect(header?.revision).toBe(2n);
}
