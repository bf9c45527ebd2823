import { expect, test } from 'vitest';
import { codecs } from 'waymark';
import { ForwardingEngine, type Reading, WaymarkError } from 'waymark/engine';
import { Coordinator, type StashVersion } from 'waymark/stash';
import { FakeClock } from 'waymark/testing';
import { StashBed } from './support/bed.js';
import { MemoryNode } from './support/memory-node.js';

const index = 'myIndex';
const key = 'k';

const turns = async (count = 30): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
};

async function opened(nodes = 3, options: Partial<Parameters<typeof StashBed.open>[0]> = {}) {
  const bed = await StashBed.open({ nodes, ...options });
  return { bed, on: bed.space().stash.index<string>(index) };
}

/** Those that hold the key, and those that do not. */
const holders = (bed: StashBed): MemoryNode[] =>
  bed.nodes.filter((node) => node.peek(index, key) !== undefined);

const texts = (nodes: readonly MemoryNode[]): (string | null | undefined)[] =>
  nodes.map((node) => shown(node.peek(index, key)));

function shown(version: StashVersion | undefined): string | null | undefined {
  if (version === undefined) return undefined;
  if (version.value === null) return null;
  return String(codecs.structured.decode(version.value));
}

test('[D3.1] a write goes to all replicas, and is acknowledged by two of three', async () => {
  const { bed, on } = await opened(5);
  await using _ = bed;
  expect(await on.put(key, 'v')).toMatchObject({ replicas: 3 });
  await turns();
  expect(holders(bed).length).toBe(3);
  const [one, two] = holders(bed) as [MemoryNode, MemoryNode];
  one.down = true;
  expect(await on.put(key, 'w')).toEqual({ replicas: 3, flushed: 2 });
  two.held = true;
  const late = on.put(key, 'x');
  await turns();
  let done = false;
  void late.then(() => (done = true));
  await turns();
  expect(done, 'one of three is not enough').toBe(false);
  two.goOn();
  expect(await late).toEqual({ replicas: 3, flushed: 2 });
});

test('[D3.1] where there are fewer nodes than copies all of them confirm, and that is told', async () => {
  for (const nodes of [1, 2]) {
    const { bed, on } = await opened(nodes);
    await using _ = bed;
    expect(await on.put(key, 'v')).toEqual({ replicas: nodes, flushed: nodes });
    expect(await bed.space().stash.status()).toMatchObject({
      ...{ epoch: 1, replicas: nodes, writeQuorum: nodes, readQuorum: 1 },
    });
    (bed.nodes[0] as MemoryNode).down = true;
    await expect(on.put(key, 'w')).rejects.toMatchObject({
      code: nodes === 1 ? 'unavailable' : 'uncertain',
    });
  }
});

test('[D3.2] unavailable: nobody has it; uncertain: somebody has it, or may', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  const [a, b, c] = bed.nodes as [MemoryNode, MemoryNode, MemoryNode];
  a.down = b.down = c.down = true;
  await expect(on.put(key, 'v')).rejects.toMatchObject({ code: 'unavailable' });
  expect(holders(bed)).toEqual([]);
  c.down = false;
  await expect(on.put(key, 'v')).rejects.toMatchObject({ code: 'uncertain' });
  expect(holders(bed)).toEqual([c]);
  c.mute = true;
  await expect(on.put(key, 'w')).rejects.toMatchObject({ code: 'uncertain' });
  expect(texts([c])).toEqual(['w']);
});

test('[D3.2] a write whose time is over is uncertain, and so is one that is given up', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  for (const node of bed.nodes) node.held = true;
  const late = on.put(key, 'v', { deadlineMs: 1_000 });
  late.catch(() => undefined);
  await turns();
  bed.clock.advance(1_000);
  await expect(late).rejects.toMatchObject({ code: 'uncertain' });
  const giveUp = new AbortController();
  const given = on.put(key, 'v', { signal: giveUp.signal });
  given.catch(() => undefined);
  await turns();
  giveUp.abort();
  await expect(given).rejects.toMatchObject({ code: 'uncertain' });
  await expect(on.put(key, 'v', { signal: AbortSignal.abort('no') })).rejects.toBe('no');
});

test('[D4.4] a full disk is told as such where nothing was written, else it is uncertain', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  const [a, b, c] = bed.nodes as [MemoryNode, MemoryNode, MemoryNode];
  await on.put(key, 'v');
  a.full = true;
  await on.put(key, 'w');
  b.full = true;
  await expect(on.put(key, 'x')).rejects.toMatchObject({ code: 'uncertain' });
  c.full = true;
  await expect(on.put(key, 'x')).rejects.toMatchObject({ code: 'storage_full' });
  expect(await on.get(key)).not.toBeUndefined();
});

test('[D2.2] of writes one after the other the last holds, though the clocks of their coordinators are an hour apart', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const skews = [-3_600_000, 0, 400, -1];
  const indexes = skews.map((skew) => {
    const clock = Object.assign(new FakeClock(), {
      wallNow: () => bed.clock.wallNow() + skew,
    });
    return bed.space(bed.coordinator({ clock })).stash.index<string>(index);
  });
  for (let i = 0; i < 400; i++) {
    const on = indexes[(i * 7) % 4];
    const silent = bed.nodes[i % 3] as MemoryNode;
    silent.down = true;
    await on?.put(key, `v${i}`);
    silent.down = false;
    expect(await indexes[i % 4]?.get(key)).toBe(`v${i}`);
  }
});

test('[D2.3] a coordinator whose clock is too far ahead is refused with the reason, and writes nothing', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const clock = Object.assign(new FakeClock(), { wallNow: () => bed.clock.wallNow() + 3_600_000 });
  const on = bed.space(bed.coordinator({ clock })).stash.index<string>(index);
  const refused = on.put(key, 'v');
  await expect(refused).rejects.toMatchObject({ code: 'invalid' });
  await expect(refused).rejects.toThrow(/3600000 ms ahead/);
  expect(holders(bed)).toEqual([]);
});

test('[D2.3] what a node believes that is an hour ahead itself stands in the way of that key alone', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const ahead = Object.assign(new FakeClock(), {
    wallNow: () => bed.clock.wallNow() + 3_600_000,
  });
  const [first] = bed.nodes as [MemoryNode];
  bed.nodes[2] = new MemoryNode(ahead);
  const wrong = bed.space(bed.coordinator({ clock: ahead })).stash.index<string>(index);
  const right = bed.space(bed.coordinator()).stash.index<string>(index);
  await expect(wrong.put(key, 'v')).rejects.toMatchObject({ code: 'uncertain' });
  // One of two has it, and both have to agree.
  first.down = true;
  await expect(right.put(key, 'w')).rejects.toThrow(/36\d{5} ms ahead of this node's clock/);
  first.down = false;
  expect(await right.put('another', 'w')).toMatchObject({ replicas: 3 });
  expect(await right.get('another')).toBe('w');
});

test('[D3.3] a quorum has every acknowledged write, whichever replica is behind or gone; level one asks one', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  for (let missing = 0; missing < 3; missing++) {
    for (let gone = 0; gone < 3; gone++) {
      const behind = bed.nodes[missing] as MemoryNode;
      behind.down = true;
      await on.put(key, `${missing}${gone}`);
      behind.down = false;
      const other = bed.nodes[gone] as MemoryNode;
      other.down = gone !== missing;
      expect(await on.get(key), `${missing} behind, ${gone} gone`).toBe(`${missing}${gone}`);
      other.down = false;
      await turns();
    }
  }
  const calls = bed.nodes.map((node) => node.calls.read + node.calls.versions);
  await on.get(key, { level: 'one' });
  const asked = bed.nodes.map((node, i) => node.calls.read + node.calls.versions - (calls[i] ?? 0));
  expect(asked.toSorted()).toEqual([0, 0, 1]);
});

test('[D3.3] a read asks one replica for the value, and another for its version', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  await on.put(key, 'v');
  await on.get(key);
  expect(bed.nodes.reduce((sum, { calls }) => sum + calls.read, 0)).toBe(1);
  expect(bed.nodes.reduce((sum, { calls }) => sum + calls.versions, 0)).toBe(1);
});

test('[D3.3] replicas of the own zone are asked first', async () => {
  const zones = ['a', 'b', 'c', 'a', 'b', 'c'];
  const { bed, on } = await opened(6, { zones, zone: 'b' });
  await using _ = bed;
  for (let i = 0; i < 50; i++) await on.get(`k${i}`, { level: 'one' });
  expect(bed.nodes.map(({ calls }) => calls.read > 0)).toEqual(zones.map((zone) => zone === 'b'));
});

test('[D3.3] a replica that fails or is slow is stood in for by the next', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  await on.put(key, 'v');
  await turns();
  for (const slow of bed.nodes) {
    slow.held = true;
    const read = on.get(key);
    await turns();
    bed.clock.advance(250);
    expect(await read).toBe('v');
    slow.goOn();
    await turns();
  }
  for (const node of bed.nodes.slice(0, 2)) node.down = true;
  await expect(on.get(key)).rejects.toMatchObject({ code: 'unavailable' });
  expect(await on.get(key, { level: 'one' })).toBe('v');
});

test('[D3.3] a node that owes answers for long is asked last, and is sent nothing more', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  await on.put(key, 'v');
  const silent = bed.nodes[0] as MemoryNode;
  silent.held = true;
  await on.put(key, 'w');
  bed.clock.advance(2_001);
  const before = { ...silent.calls };
  for (let i = 0; i < 10; i++) {
    await on.put(key, `x${i}`);
    expect(await on.get(key)).toBe(`x${i}`);
  }
  expect(silent.calls).toEqual(before);
  silent.goOn();
  await turns();
  await on.put(key, 'y');
  await turns();
  expect(texts([silent])).toEqual(['y']);
});

test('[D3.4] a replica that is behind is brought up after the answer, a delete and a missing one alike', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  const behind = bed.nodes[1] as MemoryNode;
  const missed = async (write: () => Promise<unknown>): Promise<void> => {
    behind.down = true;
    await write();
    behind.down = false;
    for (let i = 0; i < 3; i++) await on.get(key);
    await turns();
  };
  await missed(() => on.put(key, 'v'));
  expect(texts([behind])).toEqual(['v']);
  await missed(() => on.put(key, 'w'));
  expect(texts([behind])).toEqual(['w']);
  await missed(() => on.delete(key));
  expect(texts([behind])).toEqual([null]);
});

test('[D3.4] asking whether a key is there repairs nothing, as it has no values', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  const behind = bed.nodes[1] as MemoryNode;
  behind.down = true;
  await on.put(key, 'v');
  behind.down = false;
  for (let i = 0; i < 5; i++) expect(await on.has(key)).toBe(true);
  await turns();
  expect(texts([behind])).toEqual([undefined]);
});

test('[D4.2] a damaged record is never served: another replica has it, and it is written back', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  await on.put(key, 'v');
  await turns();
  for (const node of bed.nodes) {
    node.damaged.add(key);
    for (let i = 0; i < 3; i++) expect(await on.get(key)).toBe('v');
    await turns();
    expect(node.damaged.size).toBe(0);
  }
  for (const node of bed.nodes) node.damaged.add(key);
  await expect(on.get(key)).rejects.toMatchObject({ code: 'corrupt' });
});

test('[D4.2] a scan over damaged records gives what other replicas have of them, and repairs them', async () => {
  const { bed } = await opened(3);
  await using _ = bed;
  const on = bed.space().stash.index<number>(index);
  await on.putMany(Array.from({ length: 60 }, (_none, i) => [`k${i}`, i] as const));
  await turns();
  for (let i = 0; i < 60; i++) bed.nodes[i % 3]?.damaged.add(`k${i}`);
  for (let again = 0; again < 3; again++) {
    const found: number[] = [];
    for await (const [, value] of on.scan()) found.push(value);
    expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_none, i) => i));
    await turns();
  }
  // A scan asks two of three: the records of the third are found by others.
  const left = bed.nodes.reduce((sum, { damaged }) => sum + damaged.size, 0);
  expect(left).toBeLessThan(30);
  const keys: unknown[] = [];
  bed.nodes[0]?.damaged.add('k7');
  for await (const name of on.keys()) keys.push(name);
  expect(keys.length).toBe(60);
});

test('[D4.6] a stale epoch is refused, and what was asked is placed anew by the next view', async () => {
  const { bed } = await opened(3);
  await using _ = bed;
  const engine = new (class extends ForwardingEngine {
    override watch(): never {
      throw new WaymarkError('unavailable', 'no watch for now');
    }
  })(bed.engine);
  const on = bed.space(bed.coordinator({ engine })).stash.index<string>(index);
  await on.put(key, 'v');
  await bed.add();
  await bed.grow();
  const written = on.put(key, 'w');
  const read = on.get('other');
  await turns();
  bed.clock.advance(500);
  await turns();
  await written;
  expect(await read).toBeUndefined();
  expect(await on.get(key)).toBe('w');
  expect((await bed.space().stash.status()).epoch).toBe(2);
});

test('[D3.2] a write that was tried by a view that is over is uncertain where others had taken it, and unavailable where nobody had', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  const late = async (name: string): Promise<void> => {
    const written = on.put(name, 'v', { deadlineMs: 1_000 });
    written.catch(() => undefined);
    await turns();
    bed.clock.advance(1_000);
    await written;
  };
  // It knows of a view that nobody else hears of.
  (bed.nodes[0] as MemoryNode).epoch = 2;
  await expect(late(key)).rejects.toMatchObject({ code: 'uncertain' });
  expect(holders(bed).length).toBe(2);
  for (const node of bed.nodes) node.epoch = 2;
  await expect(late('other')).rejects.toMatchObject({ code: 'unavailable' });
  expect(bed.nodes.filter((node) => node.peek(index, 'other') !== undefined)).toEqual([]);
});

test('[D4.6] while the space is away reads and writes go on with the last view', async () => {
  const { bed } = await opened(3);
  await using _ = bed;
  let away = false;
  const engine = new (class extends ForwardingEngine {
    override async read(...args: Parameters<ForwardingEngine['read']>): Promise<Reading> {
      if (away) throw new WaymarkError('unavailable', 'the engine is away');
      return await super.read(...args);
    }
    override async *watch(...args: Parameters<ForwardingEngine['watch']>) {
      for await (const batch of super.watch(...args)) {
        if (away) throw new WaymarkError('unavailable', 'the engine is away');
        yield batch;
      }
    }
  })(bed.engine);
  const desk = bed.coordinator({ engine });
  const on = bed.space(desk).stash.index<string>(index);
  await on.put(key, 'v');
  away = true;
  await bed.engine.commit({ apply: [{ type: 'put', key: 't/n/x', value: '{' }] });
  await turns();
  for (let minute = 0; minute < 10; minute++) {
    for (let second = 0; second < 60; second += 30) {
      bed.clock.advance(30_000);
      await on.put(key, `v${minute}`);
      expect(await on.get(key)).toBe(`v${minute}`);
    }
  }
  // Nobody asks for long.
  for (let minute = 0; minute < 5; minute++) {
    bed.clock.advance(60_000);
    await turns();
  }
  expect(await on.get(key)).toBe('v9');
  const fresh = bed.space(bed.coordinator({ engine })).stash.index(index);
  await expect(fresh.get(key)).rejects.toMatchObject({ code: 'unavailable' });
});

test('[D3.6] a scan goes on over another view, and gives what was there all the time once', async () => {
  const { bed } = await opened(3);
  await using _ = bed;
  const on = bed.space().stash.index<number>(index);
  await on.putMany(Array.from({ length: 3_000 }, (_, i) => [`k${i}`, i] as const));
  const found: number[] = [];
  let pages = 0;
  for (let after: string | undefined; ; pages++) {
    const page = await on.page({ after, limit: 500 });
    found.push(...page.entries.map(([, value]) => value));
    if (page.next === null) break;
    after = page.next;
    const down = bed.nodes[pages % 3] as MemoryNode;
    for (const node of bed.nodes) node.down = node === down;
    if (pages === 2) for (const node of bed.nodes) node.epoch = 1;
  }
  expect(pages).toBeGreaterThan(4);
  expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 3_000 }, (_, i) => i));
});

test('[D3.6] a scan shows the newest version, though a replica is behind: nothing deleted, nothing twice', async () => {
  const { bed } = await opened(3);
  await using _ = bed;
  const on = bed.space().stash.index<number>(index);
  await on.putMany(Array.from({ length: 300 }, (_, i) => [`k${i}`, i] as const));
  await turns();
  (bed.nodes[0] as MemoryNode).down = true;
  await on.putMany(Array.from({ length: 100 }, (_, i) => [`k${i}`, -1] as const));
  await on.deleteMany(Array.from({ length: 100 }, (_, i) => `k${i + 100}`));
  (bed.nodes[0] as MemoryNode).down = false;
  for (let again = 0; again < 6; again++) {
    const found = new Map<unknown, number>();
    for await (const [name, value] of on.scan()) found.set(name, value);
    expect(found.size).toBe(200);
    expect([...found.values()].filter((value) => value === -1).length).toBe(100);
  }
});

test('[D3.7] indexes are told while one of three nodes is away, and not when too few are there', async () => {
  const { bed, on } = await opened(3);
  await using _ = bed;
  await on.put(key, 'v');
  const [a, b] = bed.nodes as [MemoryNode, MemoryNode];
  a.down = true;
  expect(await bed.space().stash.indexes()).toEqual([index]);
  b.down = true;
  await expect(bed.space().stash.indexes()).rejects.toMatchObject({ code: 'unavailable' });
});

test('[D3.3] without a node it is unavailable, and told what to start', async () => {
  await using bed = await StashBed.open({ nodes: 0 });
  const { stash } = bed.space();
  await expect(stash.index('any').get('k')).rejects.toMatchObject({ code: 'unavailable' });
  await expect(stash.index('any').put('k', 1)).rejects.toThrow(/waymark stash --data/);
  expect(await stash.status()).toMatchObject({ epoch: 0, nodes: [], replicas: 0 });
});

test('[D4.6] nodes, their shares and whether they live are told', async () => {
  const { bed } = await opened(4);
  await using _ = bed;
  const { stash } = bed.space();
  await bed.add();
  const { nodes } = await stash.status();
  expect(nodes.map(({ id, state }) => [id, state])).toEqual([
    ...[0, 1, 2, 3].map((i) => [`node-${i}`, 'active']),
    ['node-4', 'joining'],
  ]);
  const shares = nodes.map(({ share }) => share);
  expect(shares[4]).toBe(0);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(3);
  for (const share of shares.slice(0, 4)) expect(Math.abs(share - 0.75)).toBeLessThan(0.05);
});

test('[D4.6] a coordinator that nobody asks stops watching, and one that is closed asks nobody', async () => {
  await using bed = await StashBed.open({ nodes: 1 });
  let watches = 0;
  const engine = new (class extends ForwardingEngine {
    override async *watch(...args: Parameters<ForwardingEngine['watch']>) {
      watches++;
      try {
        yield* super.watch(...args);
      } finally {
        watches--;
      }
    }
  })(bed.engine);
  const desk: Coordinator = bed.coordinator({ engine });
  const on = bed.space(desk).stash.index(index);
  await on.put(key, 1);
  await turns();
  expect(watches).toBe(1);
  for (let i = 0; i < 5; i++) bed.clock.advance(30_000);
  await turns();
  expect(watches).toBe(0);
  expect(await on.get(key)).toBe(1);
  await turns();
  expect(watches).toBe(1);
  await desk.close();
  expect(watches).toBe(0);
  await expect(on.get(key)).rejects.toMatchObject({ code: 'unavailable' });
});
