import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyHash, Placement, type PlacedNode, partitionCount } from 'waymark/stash';
import {
  referenceHash,
  type ReferenceNode,
  referencePartition,
  referenceReplicas,
} from './support/reference.js';

interface Vectors {
  readonly hashes: readonly { readonly bytes: string; readonly hash: string }[];
  readonly partitions: readonly {
    readonly index: string;
    readonly key: string;
    readonly partition: number;
  }[];
  readonly placements: readonly {
    readonly replicas: number;
    readonly nodes: readonly ReferenceNode[];
    readonly partitions: readonly {
      readonly partition: number;
      readonly replicas: readonly string[];
    }[];
  }[];
}

const file = new URL('../../docs/spec/placement.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const fromHex = (hex: string): string => Buffer.from(hex, 'hex').toString('latin1');
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** Ids as they are drawn: without a pattern that a hash could favour. */
const idOf = (i: number): string => `n${((i + 1) * 2_654_435_761) % 4_294_967_296}`;

function nodesOf(count: number, zones: readonly string[] = ['a']): PlacedNode[] {
  return Array.from({ length: count }, (_, i) => ({
    id: idOf(i),
    zone: zones[i % zones.length] ?? '',
    weight: 1,
  }));
}

/** For each partition the ids that keep it, the first-ranked first. */
function tableOf(nodes: readonly PlacedNode[], replicas: number): string[][] {
  const placement = new Placement(nodes, replicas);
  return Array.from({ length: partitionCount }, (_, p) => placement.of(p).map(({ id }) => id));
}

function moved(before: string[][], after: string[][]): { to: Map<string, number>; count: number } {
  const to = new Map<string, number>();
  let count = 0;
  for (const [partition, ids] of after.entries()) {
    for (const id of ids) {
      if (before[partition]?.includes(id) === true) continue;
      to.set(id, (to.get(id) ?? 0) + 1);
      count++;
    }
  }
  return { to, count };
}

test('[D1.5] the published vectors are what the library and the rules in whole numbers come to', () => {
  for (const { bytes, hash } of vectors.hashes) {
    expect(referenceHash(fromHex(bytes)).toString(16).padStart(16, '0')).toBe(hash);
  }
  for (const { index, key, partition } of vectors.partitions) {
    expect(referencePartition(utf8(index), fromHex(key))).toBe(partition);
    expect(new KeyHash(utf8(index)).partition(fromHex(key))).toBe(partition);
  }
  for (const { nodes, replicas, partitions } of vectors.placements) {
    const table = tableOf(nodes, replicas);
    for (const { partition, replicas: ids } of partitions) {
      expect(referenceReplicas(nodes, replicas, partition)).toEqual(ids);
      expect(table[partition]).toEqual(ids);
    }
  }
  expect(vectors.hashes.length * vectors.partitions.length).toBeGreaterThan(50);
});

test('[D1.2] [D1.3] any nodes are ranked as the rules say, whichever zones and weights they have', () => {
  const node = fc.record({
    id: fc.stringMatching(/^[\w-]{1,12}$/),
    zone: fc.constantFrom('a', 'b', 'c', ''),
    weight: fc.double({ min: 0.001, max: 1_000, noNaN: true }),
  });
  const nodes = fc.uniqueArray(node, { minLength: 1, maxLength: 9, selector: ({ id }) => id });
  const some = fc.array(fc.nat(partitionCount - 1), { minLength: 5, maxLength: 20 });
  fc.assert(
    fc.property(nodes, fc.integer({ min: 1, max: 5 }), some, (placed, replicas, partitions) => {
      const placement = new Placement(placed, replicas);
      for (const partition of partitions) {
        const ids = placement.of(partition).map(({ id }) => id);
        expect(ids).toEqual(referenceReplicas(placed, replicas, partition));
      }
    }),
    { numRuns: 100 },
  );
});

test('[D1.5] the order in which nodes are named changes nothing: all agree on 1 000 000 keys', () => {
  const nodes = nodesOf(7, ['a', 'b', 'c']);
  const one = new Placement(nodes, 3);
  const other = new Placement(nodes.toReversed(), 3);
  const [mine, theirs] = [new KeyHash('myIndex'), new KeyHash('myIndex')];
  const counts = new Float64Array(partitionCount);
  let different = 0;
  for (let i = 0; i < 1_000_000; i++) {
    const key = `key/${i}`;
    const partition = mine.partition(key);
    counts[partition] = (counts[partition] ?? 0) + 1;
    for (let rank = 0; rank < 3; rank++) {
      const position = other.at(theirs.partition(key), rank);
      if (one.at(partition, rank) !== position) different++;
    }
  }
  expect(different).toBe(0);
  // 244 a partition: 6 standard deviations, which one in a million partitions passes.
  expect(Math.min(...counts)).toBeGreaterThan(244 - 94);
  expect(Math.max(...counts)).toBeLessThan(244 + 94);
});

test('[D1.4] one node more takes 1/(n+1) of all, ±10 %, and nothing moves between the others', () => {
  for (const replicas of [1, 3]) {
    for (const zones of [['a'], ['a', 'b', 'c']]) {
      for (let n = 3; n <= 12; n++) {
        const nodes = nodesOf(n + 1, zones);
        const before = tableOf(nodes.slice(0, n), replicas);
        const { to, count } = moved(before, tableOf(nodes, replicas));
        expect([...to.keys()], `${n} nodes in ${zones.length} zones`).toEqual([idOf(n)]);
        // Over zones of unlike size a node takes what its zone has.
        if (zones.length > 1) continue;
        const share = count / (partitionCount * replicas);
        expect(Math.abs(share * (n + 1) - 1), `${n} nodes, ${replicas} copies`).toBeLessThan(0.1);
      }
    }
  }
});

test('[D1.4] one node less gives what it had to the others, and nothing else moves', () => {
  const nodes = nodesOf(6, ['a', 'b', 'c']);
  const before = tableOf(nodes, 3);
  const after = tableOf(nodes.slice(1), 3);
  const { count } = moved(before, after);
  expect(count).toBe(before.filter((ids) => ids.includes(idOf(0))).length);
});

test('[D1.3] replicas lie in as many zones as there are, evenly', () => {
  for (const [zones, replicas, most] of [
    [['a', 'b', 'c'], 3, 1],
    [['a', 'b'], 3, 2],
    [['a', 'b', 'c', 'd'], 3, 1],
    [['a', 'b'], 4, 2],
  ] as const) {
    const nodes = nodesOf(8, zones);
    const zoneOf = new Map(nodes.map(({ id, zone }) => [id, zone]));
    for (const ids of tableOf(nodes, replicas)) {
      expect(new Set(ids).size).toBe(replicas);
      const perZone = zones.map((zone) => ids.filter((id) => zoneOf.get(id) === zone).length);
      expect(Math.max(...perZone)).toBeLessThanOrEqual(most);
    }
  }
});

test('[D1.2] shares follow the weights', () => {
  const nodes = nodesOf(4).map((node, i) => ({ ...node, weight: [1, 2, 4, 1][i] ?? 1 }));
  const placement = new Placement(nodes, 1);
  const weights = placement.nodes.map(({ weight }) => weight / 8);
  for (const [i, count] of placement.counts().entries()) {
    const share = count / partitionCount;
    expect(Math.abs(share / (weights[i] ?? 1) - 1)).toBeLessThan(0.15);
  }
});

test('[D1.3] there are no more copies than nodes', () => {
  expect(new Placement(nodesOf(2), 3).replicas).toBe(2);
  expect(new Placement([], 3).counts()).toEqual([]);
});
