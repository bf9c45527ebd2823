import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeKey, encodeKey, encodePrefix } from './stash-keys.js';
import type { StashFoundKey, StashKeyPart } from './stash-types.js';

const runs = { numRuns: 5_000 };
const number = fc.double({ noNaN: true }).map((value) => value + 0);
const bigint = fc.oneof(fc.bigInt({ min: -300n, max: 300n }), fc.bigInt());
const bytes = fc.uint8Array({ maxLength: 12 });
const text = fc.string({ unit: fc.oneof(fc.constantFrom('\0', '\x01', 'ÿ', '€'), fc.string()) });
const part = fc.oneof(text, number, bigint, bytes);
const tuple = fc.array(part, { maxLength: 4 });
const filled = text.filter((value) => value !== '');
const key = fc.oneof(filled, number, bigint, bytes, tuple);

/** What JavaScript says of two values of one type; bytes as texts of one char a byte. */
function order(a: StashKeyPart, b: StashKeyPart): number {
  const [x, y] = [a, b].map((value) =>
    value instanceof Uint8Array
      ? Buffer.from(value).toString('latin1')
      : typeof value === 'string'
        ? Buffer.from(value, 'utf8').toString('latin1')
        : value,
  ) as [string, string];
  return x < y ? -1 : x > y ? 1 : 0;
}

const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

test('[D7.1] every key comes back, and no two have the same bytes', () => {
  const seen = new Map<string, StashFoundKey>();
  fc.assert(
    fc.property(key, (value) => {
      const encoded = encodeKey(value);
      expect(plain(decodeKey(encoded))).toEqual(plain(value));
      const before = seen.get(encoded);
      if (before !== undefined) expect(plain(before)).toEqual(plain(value));
      seen.set(encoded, value);
    }),
    runs,
  );
  expect(seen.size).toBeGreaterThan(3_000);
});

const plain = (value: StashFoundKey): unknown =>
  value instanceof Uint8Array
    ? Buffer.from(value)
    : Array.isArray(value)
      ? value.map(plain)
      : value;

test('[D7.1] the bytes of keys of one type sort as their values do', () => {
  for (const of of [filled, number, bigint, bytes] as const) {
    const two = fc.tuple(of as fc.Arbitrary<StashKeyPart>, of as fc.Arbitrary<StashKeyPart>);
    fc.assert(
      fc.property(two, ([a, b]) => {
        expect(byteOrder(encodeKey(a), encodeKey(b))).toBe(order(a, b));
        // The parts of a tuple decide in their order.
        expect(byteOrder(encodeKey([a, 1]), encodeKey([b, 0]))).toBe(order(a, b) || 1);
      }),
      runs,
    );
  }
});

test('[D7.2] what a tuple, a text or bytes begin with is a prefix of them, and of no other kind', () => {
  fc.assert(
    fc.property(tuple, tuple, (head, tail) => {
      expect(encodeKey([...head, ...tail]).startsWith(encodePrefix(head))).toBe(true);
    }),
    runs,
  );
  expect(encodeKey('user/42').startsWith(encodePrefix('user/'))).toBe(true);
  expect(encodeKey(Buffer.from('user')).startsWith(encodePrefix(Buffer.from('us')))).toBe(true);
  expect(encodeKey(['ab']).startsWith(encodePrefix(['a']))).toBe(false);
  expect(encodePrefix('')).toBe('');
  expect(encodePrefix(undefined)).toBe('');
});

test('[D7.1] a text is its UTF-8, and what others begin with begins no UTF-8', () => {
  expect(encodeKey('ä')).toBe('\xc3\xa4');
  const firsts = [1, Uint8Array.of(1), 1n, [1]].map((value) => encodeKey(value).charCodeAt(0));
  expect(firsts).toEqual([0xf8, 0xf9, 0xfa, 0xfb]);
  expect(encodeKey(['a', 1n])).toBe('\xfb\x02a\0\x15\x01');
});

test('[D7.2] what is no key is refused, and so are bytes that no key has', () => {
  const wrong = ['', '\ud800', Number.NaN, null, undefined, {}, true, [[]], [undefined]];
  for (const value of wrong) {
    expect(() => encodeKey(value as string)).toThrow(expect.objectContaining({ code: 'invalid' }));
  }
  const toKey = { toKey: () => 'text' as unknown as Uint8Array };
  expect(() => encodeKey(toKey)).toThrow(/toKey/);
  for (const bad of ['\xff', '\x80', '\xf8\x01', '\xfb\x02a', '\xfb\x30', '\xfa', '\xfb\x16\x01']) {
    expect(() => decodeKey(bad)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  }
});
