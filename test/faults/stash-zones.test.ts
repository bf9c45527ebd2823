import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { open, type Space, type StashIndex } from 'waymark';
import { Placement, partitionCount } from 'waymark/stash';
import { chooseSeed, SeededRandom } from './random.js';
import { ServerProcess } from './server-process.js';
import { type NodeProcess, patience, StashCluster } from './stash-cluster.js';
import { percentile, SetLoad, waits } from './stash-load.js';
import { ZoneProxy } from './zone-proxy.js';

/** Three zones of two nodes, 80 ms apart. The test is in zone b, and reaches the stash by a server in zone a, too. */
const betweenMs = 80;
const ttlMs = 4_000;

const zones = new Map<number, string>();
const proxies: ZoneProxy[] = [];
let cluster: StashCluster;
let server: ServerProcess;
let fromA: Space;

beforeEach(async () => {
  cluster = await StashCluster.start();
  server = await ServerProcess.start(cluster.url, {}, ['--stash-zone', 'a']);
  zones.set(process.pid, 'b').set(server.child.pid ?? 0, 'a');
  fromA = await open(server.url);
});
afterEach(async () => {
  await fromA[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
  for (const proxy of proxies.splice(0)) await proxy[Symbol.asyncDispose]();
});

/** @param data  of an earlier one */
async function node(zone: string, data?: string): Promise<NodeProcess> {
  const proxy = await ZoneProxy.open(zone, zones, betweenMs);
  proxies.push(proxy);
  const listen = ['--listen', `127.0.0.1:${proxy.behind}`, '--advertise', proxy.address];
  const flags = ['--zone', zone, ...listen];
  const started = await cluster.node({ data, flags });
  zones.set(started.command.child.pid ?? 0, zone);
  return started;
}

async function median(times: number, call: () => Promise<unknown>): Promise<number> {
  const took: number[] = [];
  for (let n = 0; n < times; n++) {
    const began = performance.now();
    await call();
    took.push(performance.now() - began);
  }
  return percentile(took, 50);
}

test('[D1.3 D4.5] a zone of three is lost: nothing is, reads and writes go on; and what is over stays so, after restarts, repair and moves', async () => {
  const random = new SeededRandom(chooseSeed('test/faults/stash-zones.test.ts'));
  const inZone = new Map<string, NodeProcess[]>();
  for (const zone of ['a', 'b', 'c']) inZone.set(zone, [await node(zone), await node(zone)]);
  const { nodes, replicas } = await cluster.arrived();
  const placement = new Placement(nodes, replicas);
  for (let one = 0; one < partitionCount; one++) {
    expect(new Set(placement.of(one).map(({ zone }) => zone)).size).toBe(3);
  }
  const own = cluster.space.stash.index<number>('set');
  const there = fromA.stash.index<number>('set');
  await own.put(0.5, 1);
  const nearMs = await median(21, () => there.get(0.5, { level: 'one' }));
  const farMs = await median(21, () => there.get(0.5));
  expect(nearMs).toBeLessThan(betweenMs);
  expect(farMs).toBeGreaterThanOrEqual(betweenMs);

  await using load = new SetLoad(random, { deletesOf100: 5 });
  for (const index of [own, there]) load.write(() => index);
  for (const index of [own, there]) load.read(() => index);
  const grows = async (): Promise<void> => {
    const enough = load.added.length + 1_000;
    await vi.waitFor(() => expect(load.added.length).toBeGreaterThan(enough), patience);
  };
  await grows();
  // They are over while the zone is away, whose disks have them as they were.
  const mayflies = Array.from({ length: 500 }, (_, n) => n + 0.25);
  await own.putMany(
    mayflies.map((n) => [n, n]),
    { ttlMs },
  );
  expect(await there.getMany(mayflies)).toEqual(mayflies);
  const lost = inZone.get('c') ?? [];
  await Promise.all(lost.map(({ id }) => cluster.kill(id)));
  await vi.waitFor(() => gone(own, mayflies), { timeout: 2 * ttlMs, interval: 50 });
  // From here on nobody may ever read one of them.
  load.deleted.push(...mayflies);
  await grows();

  for (const { data } of lost) await node('c', data);
  const sameMs = await healed(load);
  const [first] = lost;
  await cluster.safe(first?.id ?? '');
  await cluster.kill(first?.id ?? '', { wipe: true });
  await node('c');
  await cluster.remove(first?.id ?? '');
  await grows();
  for (const { id, data, zone } of await running()) {
    await cluster.safe(id);
    await cluster.kill(id);
    await node(zone, data);
  }
  await grows();
  await load.end();
  await cluster.same();
  await load.verify(own);
  process.stdout.write(
    `stash: a zone of three killed, ${betweenMs} ms between them: ${load.added.length} numbers acknowledged that stay, ${load.deleted.length} deleted or over, ${load.wrong.length} wrong of ${load.reads} reads; ` +
      `a read of one ${nearMs.toFixed(1)} ms in its zone, of two ${farMs.toFixed(1)} ms; a key waited for its read ${waits(load.readMs)}; for its write ${waits(load.writeMs)}; the same ${Math.round(sameMs)} ms after the zone came back\n`,
  );
  expect(load.wrong.slice(0, 5)).toEqual([]);
  expect(percentile(load.readMs.values(), 99)).toBeLessThan(5_000);
  expect(percentile(load.writeMs.values(), 99)).toBeLessThan(5_000);
}, 900_000);

async function gone(index: StashIndex<number>, keys: readonly number[]): Promise<void> {
  const found = await index.getMany(keys);
  expect(found.filter((one) => one !== undefined)).toEqual([]);
}

/** While nobody writes replicas can be compared as a whole. */
async function healed(load: SetLoad): Promise<number> {
  load.rests = true;
  const ms = await cluster.same();
  load.rests = false;
  return ms;
}

async function running(): Promise<(NodeProcess & { readonly zone: string })[]> {
  const { nodes } = await cluster.view();
  return [...cluster.nodes.values()].map((one) => {
    return { ...one, zone: nodes.find(({ id }) => id === one.id)?.zone ?? '' };
  });
}
