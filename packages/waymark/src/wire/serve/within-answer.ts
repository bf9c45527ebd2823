import type { Query, Reading } from '../../core/engine.js';

/** So many entries of the largest values go into one answer, whatever they are. */
const entriesAlways = 32;
/** What a page of a reading may come to, so that it never stands in memory as a whole beside those of others. */
export const readingBytesMax = 35_651_584;

/** A reading that asked for a page, whose end may be earlier than its limit then: `more` tells. One without a limit is told whole. */
export function withinAnswer(
  { limit, keysOnly, countOnly }: Query,
  reading: Promise<Reading>,
): Promise<Reading> {
  if (limit === undefined || limit <= entriesAlways || keysOnly || countOnly) return reading;
  return reading.then(cut);
}

function cut(reading: Reading): Reading {
  const { entries } = reading;
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) {
    const { key = '', value = '' } = entries[i] ?? {};
    bytes += key.length + value.length;
    if (bytes > readingBytesMax) return { ...reading, entries: entries.slice(0, i), more: true };
  }
  return reading;
}
