import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrayToBytes } from 'waymark/engine';
import { hash64, KeyHash } from 'waymark/stash';
import { referenceHash, referencePartition } from './support/reference.js';

const bytes = fc.uint8Array({ maxLength: 64 }).map(arrayToBytes);

test('[D1.1] the hash in two halves is that of whole numbers of 64 bits', () => {
  fc.assert(
    fc.property(bytes, (key) => {
      const { high, low } = hash64(key);
      expect((BigInt(high) << 32n) | BigInt(low)).toBe(referenceHash(key));
    }),
    { numRuns: 10_000 },
  );
});

test('[D1.1] a partition is the topmost 12 bits of the hash of index, zero byte and key, wherever the key lies', () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(9), (index, key, before) => {
      const hash = new KeyHash(index);
      const expected = referencePartition(index, key);
      expect(hash.partition(key)).toBe(expected);
      const block = Buffer.from(`${'.'.repeat(before)}${key}.`, 'latin1');
      expect(hash.partitionAt(block, before, before + key.length)).toBe(expected);
    }),
    { numRuns: 10_000 },
  );
});
