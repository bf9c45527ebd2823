import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { within } from '../wrap/within.js';
import { bytesToText, foundBytes, isByteString, joinBytes, textToBytes } from './bytes.js';

const texts = fc.constantFrom('', 'a', 'b', 'ab', 'é', 'Ā', 'aĀ', 'x'.repeat(5_000), '\u{1f600}');

/** What is found out and kept must not be told of another string, whatever was asked before. */
test('[K5] what was found out of one string is never told of another, in any order of questions', () => {
  const steps = fc.array(
    fc.record({ ask: fc.constantFrom('encode', 'is', 'join', 'both'), text: texts, head: texts }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (asked) => {
      for (const { ask, text, head } of asked) {
        const bytes = Buffer.from(text, 'utf8').toString('latin1');
        if (ask === 'encode' || ask === 'both') expect(textToBytes(text)).toBe(bytes);
        if (ask === 'is' || ask === 'both')
          expect(isByteString(text)).toBe(!/[^\x00-\xff]/.test(text));
        if (ask === 'join') {
          foundBytes(bytes);
          const start = Buffer.from(head, 'utf8').toString('latin1');
          expect(joinBytes(start, bytes)).toBe(start + bytes);
          expect(isByteString(joinBytes(start, text))).toBe(!/[^\x00-\xff]/.test(start + text));
        }
        expect(bytesToText(bytes)).toBe(text);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('[K5] a prefix that is no byte string is refused, as behind it no key would be looked at again', async () => {
  await using engine = createMemoryEngine();
  expect(() => within(engine, 'Ā/')).toThrow(expect.objectContaining({ code: 'invalid' }));
});
