import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import type { EngineStatus } from 'waymark/engine';
import { ClusterFolder, ClusterServer, run, until, whole } from './cluster-server.js';
import { Load, lost } from './load.js';

/** All of them have what the leader has decided. */
async function settled(server: ClusterServer): Promise<void> {
  await until(
    () => server.status(),
    (status) => whole(status, 3),
  );
  // A read that asks all: whoever answers it, has everything before.
  const { ok } = await fetch(`${server.url}/v1/ns/default/keys/load/one/0`);
  expect(ok).toBe(true);
}

test('[W10] --memory: two of three are killed at once: every error says what to do, and recover brings service and data back', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'), ['--memory']);
  expect(a.command.err).toContain('keeps its data in memory');
  await using b = await a.joinedBy(folder.directory('b'), ['--memory']);
  await using c = await a.joinedBy(folder.directory('c'), ['--memory']);
  const load = new Load('one', () => [a.url]);
  await load.more(100);
  await load.stop();
  await settled(a);
  // The survivor has each write when it has said so; a and b lead, or follow, as it came.
  expect(await lost(c.url, load.acked)).toEqual([]);
  await using space = await open(c.url);
  const before = await space.status();

  const alive = await c.cluster('recover', '--yes');
  expect(alive.code).toBe(21);
  expect(alive.err).toContain('a majority lives');
  await Promise.all([a.killWithEtcd(), b.killWithEtcd()]);
  await until(
    () => c.status(),
    ({ state }) => state === 'no_majority',
  );
  const status = await c.cluster('status');
  expect(status.code).toBe(1);
  expect(status.out).toContain('DATA IN MEMORY');
  expect(status.out).toContain('the majority is lost: 1 of 3 members answer, 2 are needed');
  const refused = await fetch(`${c.url}/v1/ns/default/keys/x`, { method: 'PUT', body: 'x' });
  expect(refused.status).toBeGreaterThanOrEqual(503);
  expect(((await refused.json()) as { detail: string }).detail).toContain(
    'waymark cluster recover',
  );

  const unsure = await c.cluster('recover');
  expect(unsure.code).toBe(21);
  expect(unsure.err).toContain('two clusters');
  // One of the others is seen again, and that is no majority: not even --yes goes past it.
  const back = a.restart();
  await until(
    () => c.status(),
    ({ members }) => members.filter(({ answers }) => answers).length > 1,
  );
  await back;
  expect((await c.cluster('recover', '--yes')).err).toMatch(/a majority lives|still answer/);
  await a.killWithEtcd();
  await until(
    () => c.status(),
    ({ state }) => state === 'no_majority',
  );

  const recovered = await c.cluster('recover', '--yes');
  expect(recovered.code, recovered.err).toBe(0);
  const after = await space.status();
  expect(after.identity).not.toBe(before.identity);
  expect(after.revision).toBeGreaterThan(before.revision + 10_000);
  expect(await lost(c.url, load.acked)).toEqual([]);
  expect((await c.cluster('status')).code).toBe(0);

  // Who was given up comes back, and is told; then it is a member again, and the cluster whole.
  const told = a.restart();
  await expect(told).rejects.toThrow('was removed from its cluster');
  await using again = await c.joinedBy(a.directory, ['--memory']);
  await using third = await again.joinedBy(folder.directory('d'), ['--memory']);
  await until(
    () => third.status(),
    (now) => whole(now, 3),
  );
  expect(await lost(third.url, load.acked)).toEqual([]);
});

test('[K8] a watch from before a recovery ends with superseded, and says so to who resumes it', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await using space = await open(a.url);
  const ns = space.namespace('default');
  const { identity, revision } = await space.status();
  const watch = ns.watch('/', { tree: true, after: revision, identity })[Symbol.asyncIterator]();
  await ns.put('/x', 1);
  expect((await watch.next()).value).toMatchObject({ path: '/x' });
  const next = watch.next();
  const ended = expect(next).rejects.toMatchObject({ code: 'superseded' });
  await b.killWithEtcd();
  await until(
    () => a.status(),
    ({ state }) => state === 'no_majority',
  );
  expect((await a.cluster('recover', '--yes')).code).toBe(0);
  await ended;
  const resumed = ns.watch('/', { tree: true, after: revision, identity });
  await expect(resumed[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'superseded',
  });
});

test('[W10] survivors that are started again without a majority wait, and say so; whom one sees it does not give up, not even with --yes', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'), ['--memory']);
  await using b = await a.joinedBy(folder.directory('b'), ['--memory', '--name', 'bee']);
  await using c = await a.joinedBy(folder.directory('c'), ['--memory']);
  await using d = await a.joinedBy(folder.directory('d'), ['--memory']);
  const load = new Load('one', () => [c.url]);
  await load.more(20);
  await load.stop();
  // etcd notes on disk that an entry is decided with the one after it: killed before, a survivor of its own crash lacks the very last.
  for (const last of ['one', 'two'])
    await fetch(`${a.url}/v1/ns/default/keys/${last}`, { method: 'PUT', body: last });
  expect(await lost(a.url, load.acked)).toEqual([]);
  await Promise.all([a, b, c, d].map((server) => server.killWithEtcd()));
  const started = a.restart();
  b.restart().catch(() => undefined);
  // Neither answers a client.
  const two = await until(
    () => a.status(),
    ({ members }) => members.filter(({ answers }) => answers).length === 2,
  );
  expect(two.state).toBe('no_majority');
  const refused = await a.cluster('recover', '--yes');
  expect(refused.code).toBe(21);
  expect(refused.err).toContain('bee of the others still answer');
  await b.killWithEtcd();
  await until(
    () => a.status(),
    ({ members }) => members.filter(({ answers }) => answers).length === 1,
  );
  const { code, err } = await a.cluster('recover', '--yes');
  expect(code, err).toBe(0);
  await started;
  expect(await lost(a.url, load.acked)).toEqual([]);
});

test('[W10] a recovery that was interrupted is finished before anything is served', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  const status = async (): Promise<EngineStatus> => {
    await using space = await open(a.url);
    return await space.status();
  };
  const before = await status();
  await a.command.stop();
  const file = join(a.directory, 'member.json');
  const member = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...member, recovering: true }));
  await a.restart();
  const after = await status();
  expect(after.identity).not.toBe(before.identity);
  expect(after.revision).toBeGreaterThan(before.revision + 10_000);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ recovering: false });
});

test('[W10] --auto-recover: states its risk, and goes on alone when the other is gone', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await a.command.stop();
  await a.restart(['--auto-recover', '5s']);
  expect(a.command.err).toContain('two clusters take writes');
  await using b = await a.joinedBy(folder.directory('b'));
  expect((await a.cluster('status')).out).toContain('auto-recover after 5000 ms');
  await b.killWithEtcd();
  await until(
    () => a.status(),
    (status) => whole(status, 1),
    60_000,
  );
  expect((await fetch(`${a.url}/v1/ns/default/keys/x`, { method: 'PUT', body: 'x' })).ok).toBe(
    true,
  );
  expect((await run('serve', '--help')).out.replaceAll(/\s+/g, ' ')).toContain(
    'two clusters take writes',
  );
});
