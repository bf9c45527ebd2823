import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'waymark';
import { openEngine } from 'waymark/engine';
import { expect, test } from 'vitest';
import { certificates } from '../support/certificates.js';
import { ClusterFolder, ClusterServer, memberFile, run, until, whole } from './cluster-server.js';

test('[W10] members with certificates speak TLS alone: to each other, to themselves, and to nobody without one; a member goes and comes back', async () => {
  const folder = await certificates();
  try {
    await using members = new ClusterFolder();
    const files = (name: string): string[] => [
      ...['--tls-cert', join(folder, `${name}.crt`)],
      ...['--tls-key', join(folder, `${name}.key`)],
      ...['--tls-ca', join(folder, 'ca.crt')],
    ];
    await using a = await ClusterServer.init(members.directory('a'), files('server'));
    await using b = await a.joinedBy(members.directory('b'), files('client'));
    await using c = await b.joinedBy(members.directory('c'), files('root'));
    await until(
      () => a.status(),
      (status) => whole(status, 3),
    );
    const { members: seen } = await a.status();
    const urls = seen.flatMap(({ peerUrls, clientUrls }) => [...peerUrls, ...clientUrls]);
    expect(urls.filter((url) => !url.startsWith('https://127.0.0.1:'))).toEqual([]);

    const token = ['--from', a.url, '--token', await a.token()];
    const plain = await run('cluster', 'join', members.directory('d'), ...token);
    expect(plain.code).not.toBe(0);
    expect(plain.err).toMatch(/speak TLS: join with --tls-cert/);

    const { clientPort } = memberFile(a.directory);
    const at = `127.0.0.1:${clientPort}`;
    const ca = `timeoutMs=1000&ca=${join(folder, 'ca.crt')}`;
    const stranger = `&cert=${join(folder, 'stranger.crt')}&key=${join(folder, 'stranger.key')}`;
    const uncertified = [
      `etcd://${at}?timeoutMs=1000`,
      `etcds://${at}?${ca}`,
      `etcds://${at}?${ca}${stranger}`,
    ];
    for (const url of uncertified)
      await expect(openEngine(url), url).rejects.toMatchObject({ code: 'unavailable' });

    await using left = await open(a.url);
    await using right = await open(c.url);
    await left.namespace<number>('n').put('/k', 1);
    expect((await right.namespace<number>('n').get('/k'))?.value).toBe(1);
    await b.killWithEtcd();
    await left.namespace<number>('n').put('/k', 2);
    await b.restart();
    await until(
      () => b.status(),
      (status) => whole(status, 3),
    );
    await using middle = await open(b.url);
    expect((await middle.namespace<number>('n').get('/k'))?.value).toBe(2);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('[W10] certificates go together, open the way beyond loopback without --insecure, and are refused by a cluster without', async () => {
  const folder = await certificates();
  try {
    await using members = new ClusterFolder();
    const [cert, key, ca] = ['server.crt', 'server.key', 'ca.crt'].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    const all = ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
    const far = ['--advertise', '192.0.2.1'];
    const init = (name: string, ...more: string[]) =>
      run('cluster', 'init', members.directory(name), ...more);
    const half = await init('half', '--tls-cert', cert);
    expect(half.code).not.toBe(0);
    expect(half.err).toMatch(/go together/);
    const missing = await init('missing', ...all.slice(0, 5), join(folder, 'none.crt'));
    expect(missing.err).toMatch(/cannot read .*none\.crt/);
    expect((await init('open', ...far)).err).toMatch(/certificates .*or pass insecure/);
    expect((await init('far', '--bind', '127.0.0.1', ...far, ...all)).code).toBe(0);
    await using clear = await ClusterServer.init(members.directory('clear'));
    const token = ['--from', clear.url, '--token', await clear.token()];
    const refused = await run('cluster', 'join', members.directory('e'), ...token, ...all);
    expect(refused.err).toMatch(/speak in the clear/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
