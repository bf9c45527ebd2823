import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrayToBytes } from '../core/bytes.js';
import type { StashVersion } from '../core/stash.js';
import {
  isNewer,
  PackedCursor,
  Packer,
  stampVersion,
  type StashFinding,
  Unpacker,
} from './packed.js';

const bytes = fc.uint8Array({ maxLength: 200 });
const key = bytes.map(arrayToBytes);
const version: fc.Arbitrary<StashVersion> = fc.record({
  stamp: fc.maxSafeNat(),
  writer: fc.nat(0xffff_ffff),
  expiresAt: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  value: fc.option(
    bytes.map((value) => Buffer.from(value)),
    { nil: null },
  ),
});
const finding: fc.Arbitrary<StashFinding> = fc.oneof(
  version,
  fc.constantFrom(null, 'damaged' as const),
);

test('[D3.5] batches come back as they were packed, read by objects or by a cursor', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, finding)), (items) => {
      const packer = new Packer();
      for (const [name, found] of items) {
        packer.key(name);
        packer.finding(found);
      }
      const block = packer.take();
      const unpacker = new Unpacker(block);
      const cursor = new PackedCursor(block);
      const copied = new Packer();
      for (const [name, found] of items) {
        expect(unpacker.key()).toBe(name);
        expect(unpacker.finding()).toEqual(found);
        cursor.nextKey();
        expect(cursor.block.toString('latin1', cursor.keyStart, cursor.keyEnd)).toBe(name);
        copied.copy(cursor.block, cursor.start, cursor.end);
        cursor.nextVersion();
        expect(seen(cursor)).toEqual(found);
        copied.copy(cursor.block, cursor.start, cursor.end);
      }
      expect(unpacker.done && cursor.done).toBe(true);
      expect(Buffer.compare(copied.take(), block)).toBe(0);
    }),
  );
});

test('[D3.5] what lies in its packed order already, or is not stamped yet, is packed as all else', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, version)), (items) => {
      const [asEver, laid, unstamped] = [new Packer(), new Packer(), new Packer()];
      for (const [, found] of items) asEver.finding(found);
      const block = asEver.take();
      for (const cursor = new PackedCursor(block); !cursor.done;) {
        cursor.nextVersion();
        const facts = { block: cursor.block, start: cursor.start + 1 };
        const expiring = cursor.expiresAt !== 0;
        laid.laid({ ...facts, expiring }, cursor.valueStart, cursor.valueEnd);
      }
      expect(laid.count).toBe(items.length);
      expect(Buffer.compare(laid.take(), block)).toBe(0);
      for (const [name, { expiresAt, value }] of items) {
        asEver.entry(name, { stamp: 0, writer: 0, expiresAt, value });
        unstamped.unstamped(name, value, expiresAt);
        asEver.entry(name, { stamp: 0, writer: 0, expiresAt, value: value ?? Buffer.alloc(0) });
        unstamped.unstamped(name, arrayToBytes(value ?? Buffer.alloc(0)), expiresAt);
      }
      expect(Buffer.compare(unstamped.take(), asEver.take())).toBe(0);
    }),
  );
});

function seen(cursor: PackedCursor): StashFinding {
  const { found, stamp, writer, expiresAt, valueStart, valueEnd, block } = cursor;
  if (found !== 'version') return found === 'absent' ? null : found;
  const value = valueStart < 0 ? null : block.subarray(valueStart, valueEnd);
  return { stamp, writer, expiresAt, value };
}

test('[D2.1] a batch is stamped where it lies, and nothing else of it changes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, version)), (items) => {
      const packer = new Packer();
      for (const [name, found] of items) packer.entry(name, found);
      const block = packer.take();
      for (const cursor = new PackedCursor(block); !cursor.done;) {
        cursor.nextKey();
        cursor.nextVersion();
        stampVersion(cursor.block, cursor.start, { stamp: 7, writer: 9, laterMs: 11 });
      }
      const unpacker = new Unpacker(block);
      for (const [name, { value, expiresAt }] of items) {
        expect(unpacker.key()).toBe(name);
        const moved = expiresAt === 0 ? 0 : expiresAt + 11;
        const expected = { stamp: 7, writer: 9, expiresAt: moved, value };
        expect(unpacker.finding()).toEqual(expected);
      }
    }),
  );
});

test('[D3.5] what is cut short or made up is refused as invalid, by both readers', () => {
  const packer = new Packer();
  packer.entry('key', { stamp: 1, writer: 2, expiresAt: 3, value: Buffer.alloc(20) });
  const whole = packer.take();
  const refused = expect.objectContaining({ code: 'invalid' }) as Error;
  for (let length = 1; length < whole.length; length++) {
    const unpacker = new Unpacker(whole.subarray(0, length));
    expect(() => [unpacker.key(), unpacker.finding()]).toThrow(refused);
    const cursor = new PackedCursor(whole.subarray(0, length));
    expect(() => [cursor.nextKey(), cursor.nextVersion()]).toThrow(refused);
  }
});

test('[D2.1] of two versions the higher stamp is newer, then the higher writer; none is newer than itself', () => {
  const older = { stamp: 1, writer: 2 };
  expect(isNewer({ stamp: 2, writer: 0 }, older)).toBe(true);
  expect(isNewer({ stamp: 1, writer: 3 }, older)).toBe(true);
  expect(isNewer(older, older)).toBe(false);
  fc.assert(
    fc.property(version, version, (a, b) => {
      const same = a.stamp === b.stamp && a.writer === b.writer;
      expect(isNewer(a, b)).toBe(!same && !isNewer(b, a));
    }),
  );
});
