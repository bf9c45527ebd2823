import { expect, test } from 'vitest';
import { startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';

const [connections, watchersEach] = [10, 100];

test('1 000 watchers of one server, on 10 connections, are one stream to its etcd', async () => {
  const etcd = await startEtcd();
  const engine = `etcd://${etcd.address}/crowd`;
  const server = await startServer({ engine, listen: ['127.0.0.1:0'], logLevel: 'silent' });
  const stop = new AbortController();
  const spaces: Space[] = [];
  try {
    for (let n = 0; n < connections; n++)
      spaces.push(await open(`http://${server.addresses[0]}`, { owner: `reader ${n}` }));
    await spaces[0]?.namespace('n').put('/news/all', 'known');
    const crowd = spaces.flatMap((space) =>
      Array.from({ length: watchersEach }, (_, n) => firstNews(space, n % 7 > 0, stop.signal)),
    );
    await Promise.all(crowd.map(({ standing }) => standing));
    await spaces[0]?.namespace('n').put('/news/all', 'told');
    expect(await Promise.all(crowd.map(({ told }) => told))).toEqual(
      Array.from({ length: connections * watchersEach }, () => 'told'),
    );
    expect(await watchStreams(etcd)).toBe(1);
  } finally {
    stop.abort();
    for (const space of spaces) await space.close();
    await server.close();
    await etcd.stop();
  }
});

/** Watches the key, or a tree that has it. */
function firstNews(
  space: Space,
  tree: boolean,
  signal: AbortSignal,
): { readonly standing: Promise<void>; readonly told: Promise<unknown> } {
  let stands = (): void => {};
  const standing = new Promise<void>((resolve) => (stands = resolve));
  const watch = async (): Promise<unknown> => {
    const events = space.namespace('n').watch(tree ? '/news' : '/news/all', { tree, signal });
    for await (const event of events) {
      if (event.kind !== 'put') continue;
      if (event.value !== 'known') return event.value;
      stands();
    }
    return undefined;
  };
  return { standing, told: watch() };
}

/** As etcd counts them. */
async function watchStreams({ address }: RunningEtcd): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watch_stream_total (\S+)/m.exec(text)?.[1]);
}
