import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { open, type Space } from 'waymark';
import { type Engine, nodePeers, openEngine, systemClock, systemRandom } from 'waymark/engine';
import {
  partitionCount,
  Placement,
  RemotePeer,
  safeToStop,
  unpackDigests,
  ViewWatch,
  bitsOf,
} from 'waymark/stash';
import { Command, waymark } from '../support/command.js';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';

/** Storage nodes in processes of their own over etcd, which are lost with their disks, one after the other (quality.md, G16). */
const rounds = Number(process.env['WAYMARK_STASH_ROUNDS'] ?? 3);
const patience = { timeout: 120_000, interval: 500 };

let directory: string;
let etcd: RunningEtcd;
let engine: Engine;
let views: ViewWatch;
let space: Space;
const nodes = new Map<string, { readonly command: Command; readonly data: string }>();
const peers = nodePeers({ clock: systemClock, random: systemRandom }, {});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-lost-'));
  etcd = await startEtcd();
  const url = `etcd://${etcd.address}/lost`;
  engine = await openEngine(url, { clock: systemClock, random: systemRandom });
  views = new ViewWatch(engine, systemClock);
  space = await open(url);
});
afterEach(async () => {
  await space[Symbol.asyncDispose]();
  await views.close();
  await peers.close();
  await Promise.all([...nodes.values()].map(({ command }) => command.stop()));
  await engine[Symbol.asyncDispose]();
  await etcd.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(name: string): Promise<string> {
  const data = join(directory, name);
  const args = ['--data', data, '--space', `etcd://${etcd.address}/lost`, '--log-level', 'silent'];
  const command = new Command(process.execPath, [waymark, '--json', 'stash', ...args]);
  const { id } = JSON.parse(await command.says('\n')) as { id: string };
  nodes.set(id, { command, data });
  return id;
}

/** What moves data, by the command. */
const asked = (...args: string[]): Command => {
  const space = ['stash', '--space', `etcd://${etcd.address}/lost`];
  return new Command(process.execPath, [waymark, ...space, ...args]);
};

const peerOf = (id: string): RemotePeer => {
  return new RemotePeer(peers, views.last?.addressOf(id) ?? '');
};

/** The view has these nodes, and nothing moves. */
async function arrived(): Promise<void> {
  await vi.waitFor(async () => {
    const { view } = await views.known();
    expect(view?.view.also).toBeUndefined();
    expect(view?.view.nodes.map(({ id }) => id).sort()).toEqual([...nodes.keys()].sort());
  }, patience);
}

/** Every replica of every partition says the same digest. */
async function agree(): Promise<void> {
  const known = await views.known();
  const view = known.view?.view;
  if (view === undefined) throw new Error('there is no view');
  const all = Array.from({ length: partitionCount }, (_, one) => one);
  const told = new Map<string, (string | undefined)[]>();
  for (const { id } of view.nodes) {
    const ask = { epoch: view.epoch, partitions: bitsOf(all), grouped: false };
    const digests = unpackDigests(await peerOf(id).digests(ask));
    told.set(
      id,
      digests.map((one) => (one === null ? undefined : `${one.high} ${one.low}`)),
    );
  }
  const placement = new Placement(view.nodes, view.replicas);
  const different = all.filter((one) => {
    const each = placement.of(one).map(({ id }) => told.get(id)?.[one]);
    return each[0] === undefined || each.some((digest) => digest !== each[0]);
  });
  expect(different).toEqual([]);
}

test(`[D6.4] ${rounds} nodes are lost with their disks under load, each when the others can do without it: nothing acknowledged is lost, and replicas are the same in the end`, async () => {
  for (const name of ['a', 'b', 'c']) await start(name);
  await arrived();
  const set = space.stash.index<number>('set');
  const acknowledged: number[] = [];
  const outages: number[] = [];
  let next = 0;
  let over = false;
  const writer = async (): Promise<void> => {
    for (let failedAt: number | null = null; !over;) {
      const first = next;
      next += 20;
      const part = Array.from({ length: 20 }, (_, n) => first + n);
      try {
        await set.putMany(part.map((n) => [n, n]));
        acknowledged.push(...part);
        if (failedAt !== null) outages.push(systemClock.now() - failedAt);
        failedAt = null;
      } catch {
        failedAt ??= systemClock.now();
      }
    }
  };
  const writers = [writer(), writer()];
  for (let round = 0; round < rounds; round++) {
    const [victim = ''] = nodes.keys();
    await vi.waitFor(async () => {
      const answer = await safeToStop(victim, await views.known(), peerOf);
      expect(answer, answer.reasons.join('; ')).toMatchObject({ safe: true });
    }, patience);
    const lost = nodes.get(victim);
    nodes.delete(victim);
    await lost?.command.stop('SIGKILL');
    await rm(lost?.data ?? '', { recursive: true, force: true });
    await start(`again ${round}`);
    await vi.waitFor(async () => {
      const { code, err } = await asked('remove', victim).done;
      expect(code, err).toBe(0);
    }, patience);
    await arrived();
  }
  over = true;
  await Promise.all(writers);
  const longest = Math.max(0, ...outages);
  process.stdout.write(
    `stash: ${rounds} nodes lost, ${acknowledged.length} of ${next} writes acknowledged, longest outage ${Math.round(longest)} ms\n`,
  );
  expect(acknowledged.length).toBeGreaterThan(1_000);
  for (let at = 0; at < acknowledged.length; at += 1_000) {
    const part = acknowledged.slice(at, at + 1_000);
    expect(await set.getMany(part)).toEqual(part);
  }
  await vi.waitFor(agree, { timeout: 60_000, interval: 1_000 });
  await start('one more');
  await arrived();
  await vi.waitFor(agree, { timeout: 60_000, interval: 1_000 });
  const [last = ''] = nodes.keys();
  // Whoever looks while the move still settles is told to look again.
  await vi.waitFor(async () => {
    const { out, err } = await asked('safe', last).done;
    expect(out, err).toBe('yes\n');
  }, patience);
  const drained = await asked('drain', last).done;
  expect(drained.err).toMatch(/(?:filling|settling) \[#*\.*\] \d+ of \d+ partitions/);
  expect((await asked('move').done).out).toBe('nothing is moved\n');
  const { command } = nodes.get(last) as { command: Command };
  nodes.delete(last);
  await arrived();
  await command.stop();
  const some = acknowledged.filter((_, n) => n % 100 === 0).slice(0, 1_000);
  expect(await set.getMany(some)).toEqual(some);
}, 600_000);
