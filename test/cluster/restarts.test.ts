import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  ClusterFolder,
  ClusterServer,
  etcdPid,
  killEtcd,
  memberFile,
  run,
  until,
  whole,
} from './cluster-server.js';

const put = async ({ url }: ClusterServer, path: string): Promise<boolean> =>
  (await fetch(`${url}/v1/ns/default/keys${path}`, { method: 'PUT', body: 'v' })).ok;
const has = async ({ url }: ClusterServer, path: string): Promise<boolean> =>
  (await fetch(`${url}/v1/ns/default/keys${path}`)).ok;

test('[W10] a member alone: its etcd is started again when it dies, taken over when the server is killed, ended with it', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  expect(await put(a, '/x')).toBe(true);
  const first = etcdPid(a.directory);
  killEtcd(a.directory);
  await until(
    async () => etcdPid(a.directory),
    (pid) => pid !== null && pid !== first,
  );
  await until(
    () => a.status(),
    (status) => whole(status, 1),
  );
  expect(await has(a, '/x')).toBe(true);

  const second = etcdPid(a.directory);
  await a.kill();
  expect(etcdPid(a.directory)).toBe(second);
  await a.restart();
  expect(a.command.err).toContain(`ended etcd ${second}`);
  expect(await has(a, '/x')).toBe(true);
  const { code } = await a.command.stop();
  expect(code).toBe(0);
  expect(etcdPid(a.directory)).toBeNull();
  await a.restart();
  expect(await has(a, '/x')).toBe(true);
});

test('[W10] a server that dies alone leaves its etcd to the majority', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await a.kill();
  // Two of two are needed.
  expect(await put(b, '/x')).toBe(true);
  await a.restart();
  expect(await has(a, '/x')).toBe(true);
});

test('[W10] a server whose etcd hangs, or is gone, speaks to the other members', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await using c = await b.joinedBy(folder.directory('c'));
  await until(
    () => a.status(),
    (status) => whole(status, 3),
  );
  for (const server of [a, b, c]) {
    const pid = etcdPid(server.directory) ?? 0;
    process.kill(pid, 'SIGSTOP');
    const since = performance.now();
    await until(() => put(server, '/x'), Boolean);
    expect(performance.now() - since).toBeLessThan(10_000);
    process.kill(pid, 'SIGCONT');
    await until(
      () => server.status(),
      (status) => whole(status, 3),
    );
    killEtcd(server.directory);
    await until(() => put(server, '/x'), Boolean, 5_000);
    await until(
      () => server.status(),
      (status) => whole(status, 3),
    );
  }
});

test('[W10] a member that died for good is taken out by another, says so should it come back, and can join anew', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'), ['--name', 'bee']);
  await using c = await a.joinedBy(folder.directory('c'));
  await b.killWithEtcd();
  const { code, err } = await a.cluster('leave', '--member', 'bee');
  expect(code, err).toBe(0);
  await until(
    () => a.status(),
    (status) => whole(status, 2),
  );
  await expect(b.restart()).rejects.toThrow('was removed from its cluster');
  expect(memberFile(b.directory).gone).toBe('removed');
  await expect(b.restart()).rejects.toThrow('was removed from its cluster');
  await using again = await c.joinedBy(b.directory, ['--name', 'bee']);
  expect(whole(await again.status(), 3)).toBe(true);
  // One that lives, too: its server ends.
  expect((await a.cluster('leave', '--member', 'bee')).code).toBe(0);
  expect((await again.command.done).code).toBe(0);
  expect(again.command.err).toContain('was removed from its cluster');
  const nobody = await a.cluster('leave', '--member', 'nobody');
  expect(nobody.code).toBe(22);
});

test('[W10] who stays must be a majority: leave is refused while it would be none, --force goes all the same', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'));
  await using c = await a.joinedBy(folder.directory('c'));
  await c.killWithEtcd();
  const { code, err } = await b.cluster('leave');
  expect(code).toBe(21);
  expect(err).toContain('of the 2 members who stay 1 answer, and 2 are needed');
  expect(await put(b, '/x')).toBe(true);
  const forced = await b.cluster('leave', '--force');
  expect(forced.code, forced.err).toBe(0);
  await b.command.done;
  expect(memberFile(b.directory).gone).toBe('left');
  await until(
    () => a.status(),
    ({ state }) => state === 'no_majority',
  );
});

test('[W10] a member whose data is gone does not begin with nothing under its old id', async () => {
  await using folder = new ClusterFolder();
  await using a = await ClusterServer.init(folder.directory('a'));
  await using b = await a.joinedBy(folder.directory('b'), ['--memory', '--name', 'bee']);
  await b.killWithEtcd();
  rmSync(memberFile(b.directory).data ?? '', { recursive: true });
  const { code, err } = await run('serve', '--cluster', b.directory);
  expect(code).toBe(29);
  expect(err).toContain('was in memory');
  expect(err).toContain('leave DIR --member bee');
  await using c = await ClusterServer.init(folder.directory('c'));
  expect(whole(await c.status(), 1)).toBe(true);
});
