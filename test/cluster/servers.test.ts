import { expect, test } from 'vitest';
import {
  ClusterFolder,
  ClusterServer,
  etcdPid,
  memberFile,
  until,
  whole,
} from './cluster-server.js';
import { Load, lost } from './load.js';

/** The promise of docs/guide/cluster.md: so long a server that died may be missed by clients of the others. */
const unavailableMsMax = 5_000;

test('[W10] three servers: each is killed in turn, with its etcd, under load: no acknowledged write is lost, and all goes on within 5 s', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await using c = await a.joinedBy(folder.directory('c'));
  await until(
    () => a.status(),
    (status) => whole(status, 3),
  );
  const servers = [a, b, c];
  const urls = (): string[] => servers.map(({ url }) => url);
  const loads = [new Load('one', urls), new Load('two', () => urls().reverse())];
  try {
    for (const server of servers) {
      await Promise.all(loads.map((load) => load.more(20)));
      for (const load of loads) load.gapMs();
      await server.killWithEtcd();
      await Promise.all(loads.map((load) => load.more(20)));
      const gaps = loads.map((load) => load.gapMs());
      process.stdout.write(`unavailable after a kill: ${gaps.map(Math.round).join(', ')} ms\n`);
      expect(Math.max(...gaps)).toBeLessThan(unavailableMsMax);
      await server.restart();
      await until(
        () => server.status(),
        (status) => whole(status, 3),
      );
    }
  } finally {
    await Promise.all(loads.map((load) => load.stop()));
  }
  const acked = new Map(loads.flatMap((load) => [...load.acked]));
  process.stdout.write(`${acked.size} writes acknowledged\n`);
  for (const { url } of servers) expect(await lost(url, acked)).toEqual([]);
});

test('[W10] three servers shrink to one and grow to three again under load: all data is there, and the servers that left ended', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await using c = await b.joinedBy(folder.directory('c'));
  const urls = [a.url];
  const load = new Load('steady', () => urls);
  try {
    await load.more(20);
    for (const server of [b, c]) {
      const { code, err } = await server.cluster('leave');
      expect(code, err).toBe(0);
      const { code: ended } = await server.command.done;
      expect(ended).toBe(0);
      expect(etcdPid(server.directory)).toBeNull();
      expect(memberFile(server.directory).gone).toBe('left');
      await load.more(5);
    }
    const last = await a.cluster('leave');
    expect(last.code).toBe(21);
    expect(last.err).toContain('is the last member');
    expect(whole(await a.status(), 1)).toBe(true);
    // In the same directory, and in a new one.
    await using again = await a.joinedBy(b.directory);
    await using other = await again.joinedBy(folder.directory('d'));
    await load.more(20);
    await load.stop();
    for (const server of [a, again, other]) {
      expect(whole(await server.status(), 3)).toBe(true);
      expect(await lost(server.url, load.acked)).toEqual([]);
    }
  } finally {
    await load.stop();
  }
});
