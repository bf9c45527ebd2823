import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Group } from './group.js';
import { RecordReader, writeRecord } from './record.js';

/** Keys of few partitions with few names, so that they come again; all share four hashes. */
const writes = fc.array(
  fc.record({
    partition: fc.constantFrom(0, 1, 255, 256, 4_095),
    name: fc.stringMatching(/^[a-z]{1,2}$/),
    stamp: fc.integer({ min: 1, max: 1_000 }),
    removed: fc.boolean(),
    ownBlock: fc.boolean(),
  }),
  { maxLength: 500, size: 'max' },
);

function keyOf({ partition, name }: { partition: number; name: string }): Buffer {
  return Buffer.from([partition >> 8, partition & 0xff, ...Buffer.from(name)]);
}

test('[D4.3] a group tells the last that is to be written of each key, and hands all over by partition, in the order in which they came', () => {
  let sorted = 0;
  fc.assert(
    fc.property(writes, (list) => {
      const group = new Group();
      const record = new RecordReader();
      const model = new Map<string, number>();
      let [block, at] = [Buffer.alloc(100), 0];
      for (const one of list) {
        const key = keyOf(one);
        if (one.ownBlock || at + 50 > block.length) [block, at] = [Buffer.alloc(100), 0];
        const keyStart = at;
        const keyEnd = at + key.copy(block, at);
        const facts = { stamp: one.stamp, writer: 7, expiresAt: 0 };
        at = one.removed ? keyEnd : writeRecord(block, keyEnd, 0, facts, null);
        group.put(block, keyStart, keyEnd, at, hashOf(one.name));
        model.set(key.toString('latin1'), one.removed ? 0 : one.stamp);
      }
      for (const [text, stamp] of model) {
        const key = Buffer.from(text, 'latin1');
        const found = group.find(key, key.length, hashOf(text.slice(2)), record);
        expect(found).toBe(stamp === 0 ? 'nothing' : 'record');
        if (stamp > 0) expect(record).toMatchObject({ stamp, writer: 7, valueStart: -1 });
      }
      const absent = Buffer.from([0, 0, 1]);
      expect(group.find(absent, 3, hashOf('a'), record)).toBeNull();
      const seen: string[] = [];
      let from = 0;
      for (const to of group.slices(500)) {
        let bytes = 0;
        group.eachPut(from, to, (of, keyStart, keyEnd, end) => {
          expect(bytes).toBeLessThan(500);
          bytes += end - keyStart;
          if (end > keyEnd) record.take(of, keyEnd, end);
          const stamp = end > keyEnd ? record.stamp : 0;
          seen.push(`${of.toString('latin1', keyStart, keyEnd)} ${stamp}`);
        });
        from = to;
      }
      const came = list.map(
        (one) => `${keyOf(one).toString('latin1')} ${one.removed ? 0 : one.stamp}`,
      );
      const partitionOf = (line: string): number => Buffer.from(line, 'latin1').readUInt16BE(0);
      if (list.length >= 128) sorted++;
      expect(seen).toEqual(
        list.length < 128 ? came : came.toSorted((a, b) => partitionOf(a) - partitionOf(b)),
      );
    }),
  );
  expect(sorted).toBeGreaterThan(0);
});

test('what changes digests is handed over as it came', () => {
  const group = new Group();
  const toggles = Array.from({ length: 200 }, (_, i) => [i % 7, i * 3, -i]);
  for (const [partition, high, low] of toggles as [number, number, number][]) {
    group.toggle(partition, high, low);
  }
  const seen: number[][] = [];
  group.eachToggle((...toggle) => seen.push(toggle));
  expect(seen).toEqual(toggles.map((toggle) => toggle.map((cell) => cell | 0)));
});

function hashOf(name: string): number {
  return (name.charCodeAt(0) & 3) * 0x4000_0001;
}
