import fc from 'fast-check';
import { expect, test } from 'vitest';
import { structured } from './structured.js';

const leaf = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, -0, Number.NaN, Infinity, 2 ** 53 - 1),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt(),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ minLength: 90, maxLength: 300 }),
  fc.constantFrom('\ud800', 'a\udfff', '€'.repeat(60)),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 6 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((pairs) => new Map(pairs)),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
  ),
}));

test('[D7.4] structured values come back as they were', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(value, (original) => {
      kinds.add(Object.prototype.toString.call(original));
      expect(structured.decode(structured.encode(original) as Uint8Array)).toStrictEqual(
        bare(original),
      );
    }),
    { numRuns: 5_000 },
  );
  expect(kinds.size).toBeGreaterThanOrEqual(11);
});

/** fast-check makes objects without a prototype, too: they come back as plain ones. */
function bare(original: unknown): unknown {
  if (Array.isArray(original)) return original.map(bare);
  if (original instanceof Map) return new Map([...original].map(([k, v]) => [bare(k), bare(v)]));
  if (original instanceof Set) return new Set([...original].map(bare));
  if (typeof original !== 'object' || original === null) return original;
  if (original instanceof Date || original instanceof Uint8Array) return original;
  const object = {};
  for (const [name, item] of Object.entries(original)) {
    const writable = { value: bare(item), enumerable: true, configurable: true, writable: true };
    Object.defineProperty(object, name, writable);
  }
  return object;
}

test('[D7.4] a first byte tells the version, and another one is refused', () => {
  const bytes = structured.encode({ a: 1 }) as Uint8Array;
  expect([...bytes]).toEqual([1, 0x0e, 1, 0x21, 0x61, 0x04, 1]);
  expect(() => structured.decode(Uint8Array.of(2, ...bytes.subarray(1)))).toThrow(/version is 2/);
});

test('[D7.4] what has no bytes is refused: functions, symbols, classes, cycles', () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const wrong of [() => 1, Symbol('s'), new (class Own {})(), /x/, new Error('x'), cycle]) {
    expect(() => structured.encode(wrong)).toThrow(TypeError);
  }
  class Own {}
  expect(() => structured.encode({ a: new Own() })).toThrow(/a Own is no plain object/);
});

test('[D7.4] whatever the bytes are, decoding gives a value or says that it cannot', () => {
  let refused = 0;
  const tried = (bytes: Uint8Array): void => {
    try {
      structured.decode(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
      refused++;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => tried(Uint8Array.of(1, ...bytes))),
    { numRuns: 20_000 },
  );
  fc.assert(
    fc.property(value, fc.nat(), fc.nat(255), (original, at, byte) => {
      const bytes = Uint8Array.from(structured.encode(original) as Uint8Array);
      bytes[at % bytes.length] = byte;
      tried(bytes.subarray(0, bytes.length - (at % 2)));
    }),
    { numRuns: 5_000 },
  );
  expect(refused).toBeGreaterThan(5_000);
  const object = structured.decode(Uint8Array.of(1, 0x0e, 1, 0x29, ...Buffer.from('__proto__'), 1));
  expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
});
