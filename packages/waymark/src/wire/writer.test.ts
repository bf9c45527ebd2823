import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Reader } from './reader.js';
import { Writer } from './writer.js';

test('names are read as they were written, the same again or another', () => {
  const names = fc.array(fc.constantFrom('', 'a', 'b', 'ab', 'ä', 'x'.repeat(200)));
  const gap = fc.integer({ min: 0, max: 5_000 });
  fc.assert(
    fc.property(names, gap, (list, gapBytes) => {
      const writer = new Writer();
      // What is taken stays where it is: all that follows lies behind it.
      writer.blob(new Uint8Array(gapBytes));
      writer.take();
      for (const name of list) {
        writer.name(name);
        writer.blob(new Uint8Array(gapBytes));
      }
      const reader = new Reader(writer.take() ?? new Uint8Array());
      for (const name of list) {
        expect(reader.name()).toBe(name);
        expect(reader.blob().length).toBe(gapBytes);
      }
    }),
  );
});
