import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LeaseId } from './engine.js';
import {
  compareLeaseIds,
  isLeaseId,
  isPlainLeaseId,
  leaseIdBytes,
  parseLeaseId,
  readLeaseId,
  toLeaseId,
} from './lease-id.js';

const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
const int64 = fc.oneof(
  fc.bigInt(least, most),
  fc.bigInt(-20n, 20n),
  fc.bigInt(-20n, 20n).map((n) => n + 2n ** 53n),
  fc.bigInt(-20n, 20n).map((n) => n - 2n ** 53n),
  fc.constantFrom(least, most),
);

test('each int64 but 0 has one form, which says it exactly', () => {
  fc.assert(
    fc.property(int64, (value) => {
      const id = toLeaseId(value);
      expect(BigInt(id)).toBe(value);
      expect(typeof id === 'number').toBe(Number.isSafeInteger(Number(value)));
      expect(isLeaseId(id)).toBe(value !== 0n);
      if (value !== 0n) expect(parseLeaseId(`${value}`)).toBe(id);
    }),
  );
  const others = [
    '7',
    '-7',
    '07',
    `${most + 1n}`,
    `${least - 1n}`,
    `+${most}`,
    ` ${most}`,
    '1e20',
    '',
  ];
  for (const text of others) expect(isLeaseId(text), text).toBe(false);
  for (const other of [0, -0, 2 ** 53, 0.5, Number.NaN, Infinity, null, undefined, 7n, {}]) {
    expect(isLeaseId(other)).toBe(false);
  }
});

test('digits are read with any zeros before them; all else is refused', () => {
  expect([parseLeaseId('007'), parseLeaseId('0009007199254740993')]).toEqual([
    7,
    '9007199254740993',
  ]);
  for (const text of [
    '',
    '0',
    '-0',
    '1.5',
    '0x7',
    '7n',
    `${most + 1n}`,
    `${least - 1n}`,
    '9'.repeat(30),
  ]) {
    expect(() => parseLeaseId(text), text).toThrow('a lease id is');
  }
});

test('they compare as numbers do', () => {
  fc.assert(
    fc.property(int64, int64, (a, b) => {
      const order = compareLeaseIds(toLeaseId(a), toLeaseId(b));
      expect(Math.sign(order)).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('what is not plain is written as protobuf writes an int64, and read again', () => {
  fc.assert(
    fc.property(int64, (value) => {
      const id = toLeaseId(value);
      if (isPlainLeaseId(id)) return;
      const bytes = leaseIdBytes(id);
      let at = 0;
      expect(readLeaseId(() => bytes[at++] as number)).toBe(id);
      expect(at).toBe(bytes.length);
    }),
  );
  expect([...leaseIdBytes(-1)]).toEqual([255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  expect([...leaseIdBytes('9007199254740992')]).toEqual([128, 128, 128, 128, 128, 128, 128, 16]);
  expect(() => leaseIdBytes('no' as LeaseId)).toThrow('a lease id is');
  for (const tooLong of [
    [255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
    Array<number>(11).fill(255),
  ]) {
    let at = 0;
    expect(readLeaseId(() => tooLong[at++] as number)).toBeNull();
  }
});

test('an asked id that is read as a double, as by who knows no others, is none', () => {
  fc.assert(
    fc.property(int64, (value) => {
      const id = toLeaseId(value);
      if (typeof id === 'number') return;
      const eight = Buffer.from([...leaseIdBytes(id)].slice(0, 8));
      const double = eight.readDoubleBE(0);
      expect(Number.isSafeInteger(double) && double > 0).toBe(false);
    }),
  );
});
