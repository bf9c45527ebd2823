import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type Engine, type Host, createLocalHost, createMemoryEngine } from 'waymark/engine';
import { codecs, open } from 'waymark';
import { connectHost } from '../../../waymark/src/space/remote-host.js';
import { createSocketFace } from './face.js';

/** All values are one and the same, so that only answers take memory. */
const mebibyte = 'v'.repeat(1_048_576);

async function serve(
  values: number,
): Promise<{ engine: Engine; url: string; host: Host; sockets: Set<Socket> }> {
  const engine = createMemoryEngine();
  const face = createSocketFace({ engine, host: createLocalHost(engine) });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    face.serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const local = createLocalHost(engine);
  for (let i = 0; i < values; i++) {
    const key = `d/large/${1_000 + i}`;
    await local.commit('n', { apply: [{ type: 'put', key, value: mebibyte }] });
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const host = await connectHost(url);
  onTestFinished(() => host[Symbol.asyncDispose]());
  return { engine, url, host, sockets };
}

const large = { key: 'd/large/', end: 'd/large0' };

test('[K6] a page of large values ends before its limit, and what is read in pages is whole', async () => {
  const { url, host } = await serve(70);
  const page = await host.read('n', { ...large, limit: 1_000 });
  expect(page).toMatchObject({ more: true, count: 70 });
  expect(page.entries).toHaveLength(33);
  const whole = await host.read('n', { ...large, limit: 1_000, keysOnly: true });
  expect([whole.entries.length, whole.more]).toEqual([70, false]);

  await using space = await open(url);
  const ns = space.namespace('n', { codec: codecs.text });
  const tree: string[] = [];
  for (let after: string | undefined, more = true; more; after = tree.at(-1)) {
    const told = await ns.tree('/large', { after });
    tree.push(...told.entries.map(({ path }) => path));
    more = told.more;
  }
  const snapshot: string[] = [];
  const stop = new AbortController();
  for await (const event of ns.watch('/large', {
    tree: true,
    signal: stop.signal,
  })) {
    snapshot.push(event.path);
    if (snapshot.length === 70) break;
  }
  const paths = Array.from({ length: 70 }, (_, i) => `/large/${1_000 + i}`);
  expect([tree, snapshot]).toEqual([paths, paths]);
});

test('[K6] an answer larger than a message may be fails its call alone, and says whether something was done', async () => {
  const { host, sockets } = await serve(257);
  const asked = host.read('n', large);
  const beside = host.read('n', { key: 'd/large/1000', keysOnly: true });
  const facts = { limit: 'answerBytesMax', max: 268_435_456 };
  await expect(asked).rejects.toMatchObject({ code: 'too_large', facts });
  expect((await beside).count).toBe(1);

  const marked = host.commit('n', {
    apply: [
      { type: 'put', key: 'd/mark', value: '' },
      { type: 'read', ...large },
    ],
  });
  await expect(marked).rejects.toMatchObject({ code: 'uncertain', facts });
  expect((await host.read('n', { key: 'd/mark' })).count).toBe(1);
  expect(sockets.size, 'the connection stood all the while').toBe(1);
}, 30_000);

test('[K7] a revision larger than a message may be ends a watch as compacted: it reads what is there, and goes on', async () => {
  const { engine, url, host, sockets } = await serve(257);
  const local = createLocalHost(engine);
  const remove = { type: 'delete', ...large } as const;

  await using space = await open(url);
  const stop = new AbortController();
  const told: string[] = [];
  const watching = (async () => {
    const ns = space.namespace('n', { codec: codecs.text });
    for await (const event of ns.watch('/small', { tree: true, signal: stop.signal }))
      told.push(event.path);
  })();
  const whole = host
    .watch('n', [{ key: 'd', end: 'e' }], { previous: true })
    [Symbol.asyncIterator]();
  const { revision } = (await whole.next()).value as { revision: number };
  const next = whole.next();
  await local.commit('n', { apply: [remove] });
  await expect(next).rejects.toMatchObject({
    code: 'compacted',
    facts: { compacted: revision + 1 },
  });
  const { entries, revision: now } = await host.read('n', { ...large, limit: 9 });
  expect([entries, now]).toEqual([[], revision + 1]);
  expect(sockets.size, 'the connection stood all the while').toBe(2);

  await local.commit('n', { apply: [{ type: 'put', key: 'd/small/1', value: '' }] });
  await expect.poll(() => told).toEqual(['/small/1']);
  stop.abort();
  await watching.catch(() => undefined);
}, 30_000);
