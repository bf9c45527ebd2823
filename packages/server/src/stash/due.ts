import type { RecordFacts } from './record.js';

/**
 * The table of what is to be looked at later, by its time: entries whose time to live ends, and tombstones. So the reaper finds them without a walk through
 * all data. A key that was written again keeps its old line there until its time comes, when it is seen to mean nothing.
 *
 *   kind    1 byte: e an entry that expires, t a tombstone
 *   time    8 bytes, a double, big endian: unix time in ms. Doubles above 0 sort as their bytes do
 *   key     as on disk
 */
export type DueKind = 'e' | 't';

/** A tombstone is kept at least so long: longer than any call may take that brings an older version. */
export const graceMs = 900_000;

const headBytes = 9;

export interface Due {
  key(diskKey: Buffer): Buffer;
}

/** When a version is to be looked at, if ever. */
export function dueAt({ stamp, expiresAt }: RecordFacts, hasValue: boolean): Due | null {
  if (!hasValue) {
    const at = Math.max(stamp / 1_024, expiresAt) + graceMs;
    return { key: (diskKey) => dueKey('t', at, diskKey) };
  }
  if (expiresAt === 0) return null;
  return { key: (diskKey) => dueKey('e', expiresAt, diskKey) };
}

export function dueKey(kind: DueKind, at: number, diskKey: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(headBytes + diskKey.length);
  key.write(kind, 0, 'latin1');
  key.writeDoubleBE(at, 1);
  key.set(diskKey, headBytes);
  return key;
}

/** The key on disk that a line is about. */
export function aboutKey(due: Buffer): Buffer {
  return due.subarray(headBytes);
}

/** What is due by now. */
export function dueRange(
  kind: DueKind,
  now: number,
): { readonly start: Buffer; readonly end: Buffer } {
  // No key on disk begins with this: what is due at `now` itself is in.
  const behind = Buffer.from([0xff]);
  return { start: dueKey(kind, 0, Buffer.alloc(0)), end: dueKey(kind, now, behind) };
}
