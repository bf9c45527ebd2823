import { readFile, rm } from 'node:fs/promises';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { expect, test } from 'vitest';
import type { Space } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  type LocalHostOptions,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { announce, createView, type PlacedNode, Placement, servedNode } from 'waymark/stash';
import { ServedPort, tableOf } from 'waymark/wire';
import { StashBed } from '../stash/support/bed.js';
import { MemoryNode } from '../stash/support/memory-node.js';
import { certificates } from '../support/certificates.js';
import { freePort } from '../support/free-port.js';

/** The faults of dstash (on quanta); the table of them is docs/spec/defects.md. */

const shared = { clock: systemClock, random: systemRandom };

test('[dstash 1] a look-up goes on while a node is gone, and brings up the one that missed a write', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const index = bed.space().stash.index<number>('i');
  const [a, b] = bed.nodes as [MemoryNode, MemoryNode];
  a.down = true;
  await index.put('k', 1);
  a.down = false;
  b.down = true;
  expect(await index.get('k')).toBe(1);
  while (a.peek('i', 'k') === undefined) await new Promise(setImmediate);
});

test('[dstash 2] a write that some replicas missed is told as uncertain; what was deleted, or is over, does not come back', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const index = bed.space().stash.index<number>('i');
  const [a, b, c] = bed.nodes as [MemoryNode, MemoryNode, MemoryNode];
  await index.put('k', 1);
  await index.put('soon over', 1, { ttlMs: 1_000 });
  a.down = b.down = true;
  await expect(index.put('other', 2)).rejects.toMatchObject({ code: 'uncertain' });
  b.down = false;
  await index.delete('k');
  bed.clock.advance(1_000);
  a.down = false;
  for (const gone of [b, c]) {
    gone.down = true;
    expect(await index.getMany(['k', 'soon over'])).toEqual([undefined, undefined]);
    gone.down = false;
  }
});

test('[dstash 3] nodes may come while a batch is under way: its keys are placed anew, none is missed', async () => {
  await using bed = await StashBed.open({ nodes: 1, replicas: 1 });
  const index = bed.space().stash.index<number>('i');
  const grown = (async function* () {
    for (let i = 0; i < 10_000; i++) {
      if (i === 5_000) {
        await bed.add();
        await bed.grow();
      }
      yield [i, i] as const;
    }
  })();
  expect(await index.putMany(grown)).toBe(10_000);
  const [first, second] = bed.nodes as [MemoryNode, MemoryNode];
  const held = (node: MemoryNode): number => node.indexesHeld.get('i')?.size ?? 0;
  expect(held(first) + held(second)).toBe(10_000);
  expect(held(second)).toBeGreaterThan(2_000);
});

test('[dstash 4] nodes do not tie: whoever knows them, in whatever order, places each partition the same', () => {
  const nodes: PlacedNode[] = Array.from({ length: 40 }, (_, i) => {
    return { id: `${i % 2 === 0 ? 'Aa' : 'BB'}${i >> 1}`, zone: 'z', weight: 1 };
  });
  const known = new Placement(nodes, 3);
  const shuffled = nodes.toSorted((a, b) => (a.id.at(-1) ?? '').localeCompare(b.id.at(-1) ?? ''));
  const elsewhere = new Placement(shuffled, 3);
  for (let partition = 0; partition < 4_096; partition++) {
    const ids = known.of(partition).map(({ id }) => id);
    expect(elsewhere.of(partition).map(({ id }) => id)).toEqual(ids);
    expect(new Set(ids).size).toBe(3);
  }
});

test('[dstash 5] a batch takes keys and values of all kinds, tells of each, and ends when a node fails in its midst', async () => {
  await using bed = await StashBed.open({ nodes: 5 });
  const index = bed.space().stash.index<unknown>('i');
  const entries = Array.from({ length: 3_000 }, (_, i) =>
    i % 3 === 0
      ? ([i, i] as const)
      : i % 3 === 1
        ? ([`${i}`, [i]] as const)
        : ([[i], `${i}`] as const),
  );
  expect(await index.putMany(entries)).toBe(3_000);
  expect(await index.getMany(entries.map(([key]) => key))).toEqual(
    entries.map(([, value]) => value),
  );
  const endless = (function* () {
    for (let i = 0; ; i++) yield i;
  })();
  const told = async (): Promise<void> => {
    for await (const [key] of index.getEach(endless)) {
      if (key === 10) for (const node of bed.nodes) node.down = true;
    }
  };
  await expect(told()).rejects.toMatchObject({ code: 'unavailable' });
});

test('[dstash 6] texts that are put and looked up in one index at the same time keep their own values', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const index = bed.space().stash.index<string>('i');
  const texts = Array.from({ length: 500 }, (_, i) => `text ${i}`);
  await Promise.all(texts.map((text) => index.put(text, `of ${text}`)));
  const found = await Promise.all(texts.flatMap((text) => [index.get(text), index.get(text)]));
  expect(found).toEqual(texts.flatMap((text) => [`of ${text}`, `of ${text}`]));
  const others = await Promise.all(texts.map((text) => index.get(`another ${text}`)));
  expect(new Set(others)).toEqual(new Set([undefined]));
});

test('[dstash 7] a node that nobody answers for costs no process, and a deadline is in milliseconds', async () => {
  await using engine = createMemoryEngine();
  const port = await freePort();
  await oneNode(engine, `127.0.0.1:${port}`);
  await using space = spaceWith(engine, {});
  const began = performance.now();
  const index = space.stash.index('i');
  await expect(index.get('k', { deadlineMs: 500 })).rejects.toMatchObject({ code: 'unavailable' });
  await expect(index.put('k', 1, { deadlineMs: 500 })).rejects.toMatchObject({
    code: 'unavailable',
  });
  expect(performance.now() - began).toBeLessThan(3_000);
});

test('[dstash 8] a node behind TLS is reached over TLS and by its certificate alone, and shows its data to who has the token', async () => {
  const folder = await certificates();
  const files = ['server.crt', 'server.key'].map((name) => readFile(join(folder, name)));
  const [cert, key] = await Promise.all(files);
  const node = new MemoryNode(systemClock);
  const served = await ServedPort.open({
    ...{ host: '127.0.0.1', port: 0, clock: systemClock, name: 'storage node', token: 'secret' },
    ...{ table: tableOf(servedNode(node)), connectionsMax: 10 },
    server: createTlsServer({ cert, key }) as Server,
  });
  const address = `127.0.0.1:${served.port}`;
  const ca = join(folder, 'ca.crt');
  await using engine = createMemoryEngine();
  await oneNode(engine, `tls://${address}`);
  await using good = spaceWith(engine, { ca, token: 'secret' });
  await good.stash.index('i').put('k', 1);
  expect(await good.stash.index('i').get('k')).toBe(1);
  await using plainEngine = createMemoryEngine();
  await oneNode(plainEngine, address);
  for (const [root, reach, code] of [
    [engine, { ca, token: 'wrong' }, 'unauthenticated'],
    [engine, { ca }, 'unauthenticated'],
    [engine, { token: 'secret' }, 'unavailable'],
    [plainEngine, { token: 'secret' }, 'unavailable'],
  ] as const) {
    await using other = spaceWith(root, reach);
    const read = other.stash.index('i').get('k', { deadlineMs: 2_000 });
    await expect(read, JSON.stringify(reach)).rejects.toMatchObject({ code });
  }
  await good.close();
  await served.close();
  await rm(folder, { recursive: true });
});

test('[dstash 9] of writes at once through two processes one holds, on every replica', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const one = bed.space().stash.index<string>('i');
  const other = bed.space().stash.index<string>('i');
  for (let i = 0; i < 50; i++) {
    const missing = bed.nodes[i % 3] as MemoryNode;
    missing.down = i % 2 === 0;
    await Promise.all([one.put('k', `one ${i}`), other.put('k', `other ${i}`)]);
    missing.down = false;
    const seen = new Set<unknown>();
    for (let again = 0; again < 4; again++) {
      seen.add(await one.get('k'));
      seen.add(await other.get('k'));
    }
    expect(seen.size).toBe(1);
  }
});

function spaceWith(engine: Engine, stash: NonNullable<LocalHostOptions['stash']>): Space {
  return createSpace(createLocalHost(engine, { ...shared, stash }), { ...shared, owner: 'test' });
}

async function oneNode(engine: Engine, address: string): Promise<void> {
  const placed = { id: 'one', zone: 'z', weight: 1 };
  await announce(engine, { ...placed, address }, (await engine.grant(60_000)).id);
  await createView(engine, { epoch: 1, replicas: 3, nodes: [placed] });
}
