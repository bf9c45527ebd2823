import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve, waymark } from '../support/command.js';

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
}

async function startNode(name: string, ...more: string[]): Promise<Started & { node: Command }> {
  const data = join(directory, name);
  const args = ['--data', data, '--space', url, '--zone', name, '--log-level', 'silent', ...more];
  const node = new Command(process.execPath, [waymark, '--json', 'stash', ...args]);
  nodes.push(node);
  return { ...(JSON.parse(await node.says('\n')) as Started), node };
}

const status = async () => {
  const { out } = await runWaymark(url, ['--json', 'stash', 'status']).done;
  return JSON.parse(out) as { nodes: { id: string; state: string; address: string }[] };
};

test('[D3.1] three nodes with a token keep three copies; one killed, all is read and written, and it comes back under its id', async () => {
  const first = await startNode('a', '--listen', '127.0.0.1:0', '--token', token);
  await startNode('b', '--listen', ':0', '--token', token);
  await startNode('c', '--listen', '127.0.0.1:0', '--token', token);
  expect(await status()).toMatchObject({
    epoch: 7,
    replicas: 3,
    writeQuorum: 2,
    readQuorum: 2,
    nodes: [{ state: 'active' }, { state: 'active' }, { state: 'active' }],
  });
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

test.each([
  [['--data', 'x'], 'invalid'],
  [['--space', 'memory:'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--tls-cert', 'x'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--listen', 'nowhere'], 'invalid'],
  [['--data', 'x', '--space', 'memory:', '--weight', '0'], 'invalid'],
] as const)('wrong options are refused: %j', async (args, code) => {
  const { code: exit } = await new Command(process.execPath, [waymark, 'stash', ...args], {
    cwd: directory,
  }).done;
  expect(exit).toBe(errorTable[code].exit);
});
