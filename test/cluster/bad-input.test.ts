import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { openCluster } from 'waymark/cluster';
import { ClusterFolder, ClusterServer, memberFile, run, until } from './cluster-server.js';

let folder: ClusterFolder;
let a: ClusterServer;
let made = 0;

beforeAll(async () => {
  folder = new ClusterFolder();
  a = await ClusterServer.init(folder.directory('a'));
});
afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const fresh = (): string => folder.directory(`fresh-${made++}`);
const join_ = (token: string, directory = fresh()) =>
  run('cluster', 'join', directory, '--from', a.url, '--token', token);

/** A program that prints this when it is asked for its version. */
function fake(said: string): string {
  const file = join(folder.path, `fake-${made++}`);
  writeFileSync(file, `#!/bin/sh\necho '${said}'\n`);
  chmodSync(file, 0o755);
  return file;
}

test('[W10] a wrong token, a used one and an expired one are refused alike, and make nobody a member', async () => {
  const token = await a.token();
  const [id = ''] = token.split('.');
  for (const wrong of ['x', `${id}.wrong`, `nobody.${token}`, `${token}x`, '.', 'a.b.c']) {
    const { code, err } = await join_(wrong);
    expect(code, wrong).toBe(25);
    expect(err).toContain('the token is wrong, was used, or has expired');
  }
  const directory = fresh();
  const { code, err } = await join_(token, directory);
  expect(code, err).toBe(0);
  const used = await join_(token);
  expect(used.code).toBe(25);
  const { members } = await a.status();
  expect(members).toHaveLength(2);
  // It never starts: it is taken out by its id.
  const learner = members.find((member) => member.learner);
  expect((await a.cluster('leave', '--member', learner?.id ?? '')).code).toBe(0);

  const short = await a.token(1_000);
  await until(
    () => a.status(),
    ({ tokens }) => tokens === 0,
  );
  const late = await join_(short);
  expect(late.code).toBe(25);
  expect((await a.status()).members).toHaveLength(1);
});

test('[W10] a token that could not be used stays good; a token lives 1 s to 7 days', async () => {
  const token = await a.token();
  const { name } = await a.status();
  const taken = await run(
    ...['cluster', 'join', fresh(), '--from', a.url, '--token', token, '--name', name],
  );
  expect(taken.code).toBe(21);
  expect(taken.err).toContain(`there is a member ${name}`);
  expect((await a.status()).tokens).toBe(1);
  for (const ttl of ['500ms', '200h', 'x'])
    expect((await a.cluster('token', '--ttl', ttl)).code, ttl).toBe(24);
});

test('[W10] joining asks a server of a cluster: others are told apart', async () => {
  const asked = (from: string) => run('cluster', 'join', fresh(), '--from', from, '--token', 'a.b');
  const nobody = await asked('http://127.0.0.1:9');
  expect(nobody.code).toBe(16);
  expect(nobody.err).toContain('no member answers at http://127.0.0.1:9');
  expect((await asked('http://')).code).toBe(24);
  const other = createServer((_request, response) => response.end('{}'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const told = await asked(`http://127.0.0.1:${port}`);
  other.close();
  expect(told.code).toBe(24);
  expect(told.err).toContain('is no member of a cluster');
  for (const body of ['', '[]', '{}', '{"token":1,"name":"x","peerUrl":"y"}']) {
    const answer = await fetch(`${a.url}/v1/cluster/join`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(answer.status, body).toBe(400);
  }
});

test('[W10] the binary: none, another program, one without learners', async () => {
  const missing = await run('cluster', 'init', fresh(), '--etcd-bin', '/nowhere/etcd');
  expect(missing.code).toBe(24);
  expect(missing.err).toContain("there is no etcd at '/nowhere/etcd': install etcd 3.4 or newer");
  const other = await run('cluster', 'init', fresh(), '--etcd-bin', fake('hello'));
  expect(other.err).toContain('is not etcd');
  const old = await run('cluster', 'init', fresh(), '--etcd-bin', fake('etcd Version: 3.3.25'));
  expect(old.code).toBe(24);
  expect(old.err).toContain('is etcd 3.3.25, which lets nobody join safely');
  const directory = fresh();
  const newer = fake('etcd Version: 3.10.0');
  expect((await run('cluster', 'init', directory, '--etcd-bin', newer)).code).toBe(0);
  // It says so and ends: no etcd that serves.
  const starts = await run('serve', '--cluster', directory, '--etcd-bin', newer);
  expect(starts.code).toBe(16);
  expect(starts.err).toContain('etcd does not start');
});

test('[W10] the directory: in use, a member already, none, too long a path', async () => {
  const used = await run('serve', '--cluster', a.directory, '--listen', '127.0.0.1:0');
  expect(used.code).toBe(10);
  expect(used.err).toContain('is in use by process');
  expect((await run('cluster', 'init', a.directory)).code).toBe(10);
  const directory = fresh();
  expect((await run('cluster', 'init', directory)).code).toBe(0);
  const twice = await run('cluster', 'init', directory);
  expect(twice.code).toBe(10);
  expect(twice.err).toContain('already');
  const idle = await run('cluster', 'status', directory);
  expect(idle.code).toBe(16);
  expect(idle.err).toContain('does not run: start it');
  const none = await run('serve', '--cluster', fresh());
  expect(none.code).toBe(24);
  expect(none.err).toContain('waymark cluster init');
  expect((await run('cluster', 'status', fresh())).code).toBe(24);
  const empty = fresh();
  mkdirSync(empty);
  await expect(openCluster(`cluster:${empty}`)).rejects.toMatchObject({ code: 'invalid' });
  const long = join(folder.path, 'x'.repeat(110));
  expect((await run('cluster', 'init', long)).code).toBe(24);
  expect(existsSync(long)).toBe(false);
});

test('[W10] only the owner of the directory can tell a member what to do', async () => {
  expect(statSync(join(a.directory, 'control.sock')).mode & 0o777).toBe(0o600);
  expect(statSync(join(a.directory, 'member.json')).mode & 0o777).toBe(0o600);
  for (const verb of ['status', 'token', 'leave', 'recover']) {
    const { status } = await fetch(`${a.url}/${verb}`, { method: 'POST', body: '{}' });
    expect(status, verb).toBe(404);
  }
});

test('[W10] ports of members stand below those that Linux gives to connections that go out', async () => {
  for (let member = 0; member < 4; member++) {
    const directory = fresh();
    expect((await run('cluster', 'init', directory)).code).toBe(0);
    const { clientPort, peerPort } = memberFile(directory);
    for (const port of [clientPort, peerPort]) expect(port).toBeLessThan(32_768);
    expect(clientPort).not.toBe(peerPort);
  }
});

test('[W10] addresses beyond loopback need insecure; settings are kept, and others refused', async () => {
  const open_ = await run('cluster', 'init', fresh(), '--advertise', '10.1.2.3');
  expect(open_.code).toBe(26);
  expect(open_.err).toContain('no password and no TLS');
  const directory = fresh();
  const init = await run('cluster', 'init', directory, '--name', 'one');
  expect(init.code, init.err).toBe(0);
  await expect(open(`cluster:${directory}?name=two`)).rejects.toMatchObject({ code: 'invalid' });
  for (const [option, value] of [
    ['--name', 'a b'],
    ['--advertise', 'a/b'],
    ['--bind', 'localhost'],
    ['--client-port', '0'],
    ['--peer-port', '65536'],
  ] as const)
    expect((await run('cluster', 'init', fresh(), option, value)).code, option).toBe(24);
});

test.each([
  'cluster:',
  'cluster:?init',
  'cluster:x?unknown',
  'cluster:x?join=http://127.0.0.1:1',
  'cluster:x?token=y',
  'cluster:x?init&join=http://127.0.0.1:1&token=y',
  'cluster:x?memory=perhaps',
  'cluster:x?autoRecover=10',
  'cluster:x?peerPort=x',
])('[W10] %s is invalid, and says how it is written', async (url) => {
  await expect(open(url)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('cluster:DIR') as string,
  });
});
