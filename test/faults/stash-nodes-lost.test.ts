import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { patience, StashCluster } from './stash-cluster.js';
import { percentile, SetLoad, waits } from './stash-load.js';

/** Storage nodes in processes of their own over etcd, which are lost with their disks, one after the other (quality.md, G16). */
const rounds = sized(10, 300);

let cluster: StashCluster;
beforeEach(async () => (cluster = await StashCluster.start()));
afterEach(() => cluster[Symbol.asyncDispose]());

test(`[D6.4] ${rounds} of 5 nodes are lost with their disks under load, each when the others can do without it: nothing acknowledged is lost, and replicas are the same in the end`, async () => {
  const random = new SeededRandom(chooseSeed('test/faults/stash-nodes-lost.test.ts'));
  for (let n = 0; n < 5; n++) await cluster.node();
  await cluster.arrived();
  const set = cluster.space.stash.index<number>('set');
  await using load = new SetLoad(random, { restMs: sized(20, 200) });
  for (let n = 0; n < 2; n++) load.write(() => set);
  load.read(() => set);
  const began = performance.now();
  for (let round = 0; round < rounds; round++) {
    const [victim = ''] = cluster.nodes.keys();
    await cluster.safe(victim);
    await cluster.kill(victim, { wipe: true });
    await cluster.node();
    await cluster.remove(victim);
  }
  const tookMs = performance.now() - began;
  await load.end();
  const sameMs = await cluster.same();
  await load.verify(set);
  process.stdout.write(
    `stash: ${rounds} of 5 nodes lost with their disks in ${Math.round(tookMs / 1_000)} s: ${load.added.length} of ${load.tried} writes acknowledged, ${load.wrong.length} lost; ` +
      `a key waited for its write ${waits(load.writeMs)}; for its read ${waits(load.readMs)} (${load.reads}); the same after ${Math.round(sameMs)} ms\n`,
  );
  expect(load.wrong.slice(0, 5)).toEqual([]);
  expect(load.added.length).toBeGreaterThan(rounds * 500);
  expect(percentile(load.readMs.values(), 99)).toBeLessThan(5_000);
  expect(percentile(load.writeMs.values(), 99)).toBeLessThan(5_000);
}, 14_400_000);

test('[D6.1] by the command: a node more, whether one may be stopped, and its share given away again', async () => {
  for (let n = 0; n < 3; n++) await cluster.node();
  await cluster.arrived();
  const set = cluster.space.stash.index<number>('set');
  const all = Array.from({ length: 2_000 }, (_, n) => n);
  await set.putMany(all.map((n) => [n, n]));
  const { id } = await cluster.node();
  await cluster.arrived();
  await vi.waitFor(async () => {
    const { out, err } = await cluster.asked('safe', id).done;
    expect(out, err).toBe('yes\n');
  }, patience);
  const drained = await cluster.asked('drain', id).done;
  expect(drained.err).toMatch(/(?:filling|settling) \[#*\.*\] \d+ of \d+ partitions/);
  expect((await cluster.asked('move').done).out).toBe('nothing is moved\n');
  await cluster.kill(id);
  await cluster.arrived();
  expect(await set.getMany(all)).toEqual(all);
});
