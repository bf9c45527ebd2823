import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine } from 'waymark/engine';
import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { bytes } from './keys.js';
import { told, WatchClient } from './watch-client.js';

const mebibyte = 1_048_576;
const writes = 3_200;
const value = Buffer.alloc(65_536, 'x');
const range = { key: bytes('load/'), rangeEnd: bytes('load0') };

test('[watch] who does not read costs no memory, slows down nobody, and misses nothing', async () => {
  const engine = createMemoryEngine({ history: { bytes: 256 * mebibyte } });
  await using etcd = await startEtcd({ engine });
  using stalled = new EtcdApi(etcd.address);
  using reading = new EtcdApi(etcd.address);
  using writing = new EtcdApi(etcd.address);
  using one = new WatchClient(stalled);
  await one.created(range);
  using crowd = new WatchClient(stalled);
  for (let watch = 0; watch < 100; watch++) await crowd.created(range);
  using reader = new WatchClient(reading);
  await reader.created(range);

  const before = await used();
  for (let at = 0; at < writes; at++) {
    await writing.call(KV.method.put, { key: bytes(`load/${at % 10}`), value });
    expect((await reader.response()).events).toHaveLength(1);
  }
  const grown = await used();
  // The history holds all of it; beside that no more than what is on its way to the streams.
  const history = (writes * value.length) / mebibyte;
  expect(grown.heap - before.heap).toBeLessThan(history + 32);
  expect(grown.buffers - before.buffers).toBeLessThan(32);

  let next = 0;
  while (next < writes) {
    for (const event of (await one.response()).events) {
      expect(event.kv?.modRevision).toBe(BigInt(next + 2));
      next++;
    }
  }
  await writing.call(KV.method.put, { key: bytes('load/last'), value: bytes('1') });
  const last = [told(await one.response()), told(await reader.response())];
  expect(last.map(({ revision }) => revision)).toEqual([writes + 2, writes + 2]);
}, 120_000);

/** In MiB, of what cannot be collected: buffers are freed behind a collection, by the next one at the latest. */
async function used(): Promise<{ readonly heap: number; readonly buffers: number }> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed / mebibyte, buffers: arrayBuffers / mebibyte };
}
