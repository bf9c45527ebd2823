import { limits, WaymarkError } from 'waymark/engine';
import { answerBytesMax, PackedCursor, partKeysMax } from 'waymark/stash';
import { recordBytes } from './record.js';

/** What one call may bring and take. */

const { stashKeyBytesMax, valueBytesMax } = limits;
/** A part is closed when it has grown past what an answer may be, by its last value. */
const partBytesMax = answerBytesMax + valueBytesMax + 4_096;
const pendingBytesMax = 134_217_728;

/** @param before  keys of the part that came before. @throws {WaymarkError} `too_large`, `invalid` */
export function measureKey(
  before: number,
  keyBytes: number,
  bytesMax: number = stashKeyBytesMax,
): void {
  if (before >= partKeysMax) throw tooLarge('partKeysMax', partKeysMax, before + 1);
  if (keyBytes > bytesMax) throw tooLarge('stashKeyBytesMax', bytesMax, keyBytes);
  if (keyBytes === 0) throw new WaymarkError('invalid', 'a key has at least one byte');
}

export interface PartSize {
  readonly count: number;
  /** Entries that are no deletes. */
  readonly values: number;
  /** What keys and records take, at most. */
  readonly diskBytes: number;
  readonly stampMax: number;
}

/** With the index's name and a zero byte before them. */
export const fullKeyBytesMax = limits.stashIndexBytesMax + 1 + stashKeyBytesMax;

/** @param indexBytes  of the index's name, null for full keys. @throws {WaymarkError} `too_large`, `invalid`: then nothing was written */
export function measureEntries(entries: Uint8Array, indexBytes: number | null): PartSize {
  if (entries.length > partBytesMax) throw tooLarge('partBytesMax', partBytesMax, entries.length);
  const cursor = new PackedCursor(entries);
  let [count, values, diskBytes, stampMax] = [0, 0, 0, 0];
  while (!cursor.done) {
    cursor.nextKey();
    const keyBytes = cursor.keyEnd - cursor.keyStart;
    measureKey(count++, keyBytes, indexBytes === null ? fullKeyBytesMax : undefined);
    cursor.nextVersion();
    if (cursor.found !== 'version' || !(cursor.stamp > 0)) {
      throw new WaymarkError('invalid', 'an entry has a version, with a stamp');
    }
    const valueBytes = cursor.valueEnd - cursor.valueStart;
    if (valueBytes > valueBytesMax) throw tooLarge('valueBytesMax', valueBytesMax, valueBytes);
    if (cursor.valueStart >= 0) values++;
    stampMax = Math.max(stampMax, cursor.stamp);
    diskBytes += 2 + (indexBytes ?? 0) + keyBytes + recordBytes(cursor, valueBytes);
  }
  return { count, values, diskBytes, stampMax };
}

/** @param bytes  that wait for the disk. @throws {WaymarkError} `overloaded` */
export function measurePending(bytes: number): void {
  if (bytes <= pendingBytesMax) return;
  const text = `${pendingBytesMax} bytes wait for the disk already`;
  throw new WaymarkError('overloaded', text, { retryAfterMs: 100 });
}

function tooLarge(limit: string, max: number, actual: number): WaymarkError {
  const text = `${actual} is beyond the limit ${limit} of ${max}`;
  return new WaymarkError('too_large', text, { limit, max, actual });
}
