import { open } from 'waymark';
import { openEngine } from 'waymark/engine';
import { expect, test } from 'vitest';
import { orNotRun } from '../support/not-run.js';
import { ClusterFolder, ClusterServer, killEtcd, run, until, whole } from './cluster-server.js';

for (const version of ['3.4', '3.5'] as const) {
  const found = orNotRun(`etcd-${version}`, `a cluster of servers on etcd ${version}`);
  if (found !== null) onVersion(version, found.path);
}

function onVersion(version: string, binary: string): void {
  const bin = ['--etcd-bin', binary];

  test(`[W10] etcd ${version}, --mirror: a member's etcd dies, a member dies: watches of a mirror miss nothing, and stale reads come from it`, async () => {
    await using members = new ClusterFolder();
    const start = (name: string): Promise<ClusterServer> =>
      ClusterServer.start(members.directory(name), undefined, [...bin, '--mirror']);
    await done('init', members.directory('a'), ...bin);
    await using a = await start('a');
    const from = async (): Promise<string[]> => ['--from', a.url, '--token', await a.token()];
    await done('join', members.directory('b'), ...(await from()), ...bin);
    await using b = await start('b');
    await done('join', members.directory('c'), ...(await from()), ...bin);
    await using c = await start('c');
    const { version: runs } = await until(
      () => a.status(),
      (status) => whole(status, 3),
    );
    expect(runs.startsWith(`${version}.`)).toBe(true);
    await using near = await open(a.url);
    await using far = await open(b.url);
    const numbers = near.namespace<number>('n');
    const seen: number[] = [];
    const stop = new AbortController();
    const watched = (async () => {
      for await (const event of numbers.watch('/k', { signal: stop.signal })) {
        expect(event.kind).toBe('put');
        if (event.kind === 'put') seen.push(event.value);
      }
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    // It begins with what is there, nothing, before the first put.
    await until(
      () => numbers.get('/k', { stale: true }),
      (entry) => entry === null,
    );
    let last = 0;
    const put = async (): Promise<void> => {
      last++;
      const value = last;
      // Again what is uncertain: the same value twice is one number here.
      await until(
        () => far.namespace<number>('n').put('/k', value),
        () => true,
      );
    };
    const puts = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) await put();
    };
    await puts(50);
    killEtcd(a.directory);
    await puts(50);
    await c.killWithEtcd();
    await puts(50);
    await until(
      () => Promise.resolve(seen.at(-1)),
      (value) => value === last,
    );
    stop.abort();
    await watched;
    // What was uncertain was put again, and each once at least; nothing is passed over, nothing comes late.
    const once = seen.filter((value, index) => value !== seen[index - 1]);
    expect(once).toEqual(Array.from({ length: last }, (_, n) => n + 1));
    // From the mirror, which says at which revision that was true.
    const stale = await until(
      () => numbers.get('/k', { stale: true }),
      (entry) => entry?.value === last,
    );
    expect(stale?.value).toBe(last);
  });

  test(`[K6] etcd ${version} of a cluster takes 128 checks with a nested transaction, as every engine does`, async () => {
    await using members = new ClusterFolder();
    const directory = members.directory('one');
    await using engine = await openEngine(`cluster:${directory}?init&etcdBin=${binary}`);
    const when = Array.from(
      { length: 128 },
      (_, n) => ({ key: `k${n}`, target: 'version', is: '=', to: 0 }) as const,
    );
    const apply = [
      { type: 'txn', txn: { apply: [{ type: 'put', key: 'nested', value: '' }] } },
    ] as const;
    expect((await engine.commit({ when, apply })).succeeded).toBe(true);
    expect((await engine.read({ key: 'nested' })).count).toBe(1);
  });
}

async function done(...args: readonly string[]): Promise<void> {
  const { code, err } = await run('cluster', ...args);
  if (code !== 0) throw new Error(err);
}
