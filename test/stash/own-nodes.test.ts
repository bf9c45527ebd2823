import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { codecs, open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve, waymark } from '../support/command.js';
import { startEtcd } from '../support/etcd.js';

/** Nodes in processes of their own, of the space of one server in memory. */
const token = 'a token that they share';
let directory: string;
let server: Command;
let url: string;
let nodes: Command[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-own-nodes-'));
  ({ command: server, url } = await serve(['--engine', 'memory', '--stash-token', token]));
  nodes = [];
});
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

interface Started {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly metrics?: number;
}

async function startNode(name: string, ...more: string[]): Promise<Started & { node: Command }> {
  const data = join(directory, name);
  const args = ['--data', data, '--space', url, '--zone', name, '--log-level', 'silent', ...more];
  const node = new Command(process.execPath, [waymark, '--json', 'stash', ...args]);
  nodes.push(node);
  return { ...(JSON.parse(await node.says('\n')) as Started), node };
}

const patience = { timeout: 60_000, interval: 500 };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const status = async () => {
  const { out } = await runWaymark(url, ['--json', 'stash', 'status']).done;
  return JSON.parse(out) as { nodes: { id: string; state: string; address: string }[] };
};

test('[D3.1] three nodes with a token keep three copies; one killed, all is read and written, and it comes back under its id', async () => {
  const first = await startNode('a', '--listen', '127.0.0.1:0', '--token', token);
  await startNode('b', '--listen', ':0', '--token', token);
  await startNode('c', '--listen', '127.0.0.1:0', '--token', token);
  await vi.waitFor(async () => {
    expect(await status()).toMatchObject({
      ...{ epoch: 7, replicas: 3, writeQuorum: 2, readQuorum: 2, move: null },
      nodes: [{ state: 'active' }, { state: 'active' }, { state: 'active' }],
    });
  }, patience);
  await using space = await open(url);
  const index = space.stash.index<number>('numbers');
  const all = Array.from({ length: 2_500 }, (_, i) => i);
  await index.putMany(all.map((i) => [i, i * 2]));
  await first.node.stop('SIGKILL');
  expect(await index.getMany(all)).toEqual(all.map((i) => i * 2));
  expect(await index.put(1, 100)).toEqual({ replicas: 3, flushed: 2 });
  const again = await startNode('a', '--listen', '127.0.0.1:0', '--token', token);
  expect(again).toMatchObject({ id: first.id, state: 'active' });
  const { nodes: known } = await status();
  expect(known.find(({ id }) => id === first.id)).toMatchObject({
    state: 'active',
    address: again.address,
  });
  expect(await index.get(1)).toBe(100);
});

test('[D4.7] who has no token, or another one, gets nothing of a node', async () => {
  await startNode('a', '--listen', '127.0.0.1:0', '--token', 'another one');
  const told = await runWaymark(url, ['stash', 'put', 'some', 'a', 'v']).done;
  expect(told.code).toBe(errorTable.unauthenticated.exit);
});

test('[D4.7] a server that keeps no node reaches those of others by their token, which stop by themselves', async () => {
  const more = ['--no-stash', '--stash-token', token];
  const other = await serve(['--engine', `file:${join(directory, 'state')}`, ...more]);
  try {
    const args = ['--data', join(directory, 'n'), '--space', other.url, '--token', token];
    const node = new Command(process.execPath, [waymark, 'stash', ...args]);
    nodes.push(node);
    await node.says('active');
    expect((await runWaymark(other.url, ['stash', 'put', 'some', 'a', 'v']).done).code).toBe(0);
    expect((await runWaymark(other.url, ['stash', 'get', 'some', 'a']).done).out).toBe('v\n');
    await other.command.stop();
    const began = performance.now();
    await node.stop();
    expect(performance.now() - began, 'it stops though its space is away').toBeLessThan(15_000);
  } finally {
    await other.command.stop();
  }
});

test('[D4.7] a process that opens the engine itself reaches nodes by the token that it names', async () => {
  const etcd = await startEtcd();
  const node = new Command(process.execPath, [
    ...[waymark, 'stash', '--data', join(directory, 'n'), '--token', token],
    ...['--space', `etcd://${etcd.address}/own`],
  ]);
  try {
    await node.says('active');
    const engine = `etcd://${etcd.address}/own`;
    await using space = await open(engine, { stash: { token } });
    await space.stash.index('some', { codec: codecs.text }).put('a', 'v');
    expect(await space.stash.status()).toMatchObject({ nodes: [{ figures: { records: 1 } }] });
    await using other = await open(engine);
    await expect(other.stash.index('some').get('a')).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    expect(await other.stash.status()).toMatchObject({ nodes: [{ figures: null }] });
    const args = [waymark, 'stash', '--space', engine, '--token', token, 'get', 'some', 'a'];
    expect(await new Command(process.execPath, args).done).toMatchObject({ code: 0, out: 'v\n' });
  } finally {
    await node.stop();
    await etcd.stop();
  }
});

test('[D4.1] one process at a time has a directory: the second is told which', async () => {
  const { node } = await startNode('a', '--token', token);
  const args = ['stash', '--data', join(directory, 'a'), '--space', url];
  const second = await new Command(process.execPath, [waymark, ...args]).done;
  expect(second.code).toBe(errorTable.taken.exit);
  expect(second.err).toContain(`process ${node.child.pid}`);
});

test('[D6.1] a node that comes when there is data is given its share, and serves when it has it', async () => {
  const first = await startNode('a', '--token', token);
  await using space = await open(url);
  const index = space.stash.index<number>('numbers');
  const all = Array.from({ length: 2_000 }, (_, i) => i);
  await index.putMany(all.map((i) => [i, i]));
  const late = await startNode('b', '--token', token);
  expect(late.state).toBe('joining');
  await vi.waitFor(
    async () =>
      expect((await status()).nodes).toMatchObject([{ state: 'active' }, { state: 'active' }]),
    { timeout: 30_000, interval: 500 },
  );
  await first.node.stop('SIGKILL');
  expect(await index.getMany(all)).toEqual(all);
});

test('[D6.8] by the address of a server: what each node has, that one may be stopped, a repair, and a drain; the node serves its figures', async () => {
  const metrics = ['--metrics', '127.0.0.1:0', '--token', token];
  const first = await startNode('a', ...metrics);
  const second = await startNode('b', ...metrics);
  const third = await startNode('c', ...metrics);
  const ready = (node: Started): Promise<Response> =>
    fetch(`http://127.0.0.1:${node.metrics}/readyz`);
  for (const node of [first, second, third]) {
    await vi.waitFor(async () => expect((await ready(node)).status).toBe(200), patience);
  }
  await using space = await open(url);
  await space.stash.index<number>('numbers').putMany(numbers(500).map((i) => [i, i]));
  const asked = (...args: string[]) => runWaymark(url, ['stash', ...args]).done;
  await vi.waitFor(async () => {
    expect((await asked('safe', first.id)).out).toBe('yes\n');
  }, patience);
  const repaired = await asked('repair');
  expect(repaired).toMatchObject({ code: 0 });
  expect(repaired.out.match(/compared with \d+ nodes/g)).toHaveLength(3);
  expect((await asked('status')).out).toMatch(/ \d+ records, \d+\.\d MiB/);
  expect(JSON.parse((await asked('move', '--json')).out)).toEqual({ move: null });
  expect((await asked('move', 'sideways')).code).toBe(errorTable.invalid.exit);
  expect((await asked('drain', 'nobody')).code).toBe(errorTable.not_found.exit);
  expect(await asked('drain', third.id)).toMatchObject({ code: 0, out: '' });
  expect((await space.stash.status()).nodes.find(({ id }) => id === third.id)).toMatchObject({
    ...{ share: 0, state: 'left' },
  });
  expect(await space.stash.index('numbers').getMany(numbers(500))).toEqual(numbers(500));
  const alone = new Command(process.execPath, [
    ...[waymark, 'stash', '--space', url, 'status', '--json'],
  ]);
  expect(JSON.parse((await alone.done).out)).toMatchObject({ replicas: 2, move: null });
  const text = await (await fetch(`http://127.0.0.1:${second.metrics}/metrics`)).text();
  const documented = await readFile(
    new URL('../../docs/reference/metrics.md', import.meta.url),
    'utf8',
  );
  const families = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
  expect(families.length).toBeGreaterThan(20);
  for (const name of families) expect(documented, name).toContain(`\`${name}\``);
  expect(text).toMatch(/^waymark_stash_group_entries_count [1-9]/m);
  expect((await fetch(`http://127.0.0.1:${second.metrics}/`)).status).toBe(404);
}, 120_000);

test.each([
  [['--data', 'x'], 'invalid'],
  [['--space', 'memory:'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--tls-cert', 'x'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--listen', 'nowhere'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--weight', '0'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--metrics', 'nowhere'], 'invalid'],
] as const)('wrong options are refused: %j', async (args, code) => {
  const { code: exit } = await new Command(process.execPath, [waymark, 'stash', ...args], {
    cwd: directory,
  }).done;
  expect(exit).toBe(errorTable[code].exit);
});

test('a server whose node is to ask for TLS takes a certificate and its key', async () => {
  const args = ['serve', '--engine', 'memory', '--stash-tls-cert', 'x'];
  const { code } = await new Command(process.execPath, [waymark, ...args], { cwd: directory }).done;
  expect(code).toBe(errorTable.invalid.exit);
});
