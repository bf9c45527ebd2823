import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { bytes } from './keys.js';
import type { Used } from './measured-server.js';
import { told, WatchClient } from './watch-client.js';

const mebibyte = 1_048_576;
const writes = 3_200;
const value = Buffer.alloc(65_536, 'x');
const range = { key: bytes('load/'), rangeEnd: bytes('load0') };

test('[watch] who does not read costs no memory, slows down nobody, and misses nothing', async () => {
  // What clients in this process have read and not yet let go of is not the server's.
  await using server = await startMeasured();
  using stalled = new EtcdApi(server.address);
  using reading = new EtcdApi(server.address);
  using writing = new EtcdApi(server.address);
  using one = new WatchClient(stalled);
  await one.created(range);
  using crowd = new WatchClient(stalled);
  for (let watch = 0; watch < 100; watch++) await crowd.created(range);
  using reader = new WatchClient(reading);
  await reader.created(range);

  const before = await server.used();
  for (let at = 0; at < writes; at++) {
    await writing.call(KV.method.put, { key: bytes(`load/${at % 10}`), value });
    expect((await reader.response()).events).toHaveLength(1);
  }
  const grown = await server.used();
  // The history holds all of it; beside that no more than what is on its way to the streams.
  const history = (writes * value.length) / mebibyte;
  expect(grown.heap - before.heap).toBeLessThan(history + 16);
  expect(grown.buffers - before.buffers).toBeLessThan(16);

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

const program = fileURLToPath(new URL('../dist/etcd/measured-server.js', import.meta.url));

interface Measured extends AsyncDisposable {
  readonly address: string;
  used(): Promise<Used>;
}

async function startMeasured(): Promise<Measured> {
  const child: ChildProcess = fork(program, { env: { ...process.env, NODE_NO_WARNINGS: '1' } });
  const [address] = (await once(child, 'message')) as [string];
  return {
    address,
    async used() {
      child.send('used');
      const [told] = (await once(child, 'message')) as [Used];
      return told;
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
