import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { checkValueBytes } from './batch.js';
import { PackedCursor } from './packed.js';

/** @param check  as a caller gave it. @returns entries of a block. @throws {WaymarkError} `invalid`, `too_large` */
export function countWritten(block: Uint8Array, check: boolean): number {
  let count = 0;
  for (const cursor = new PackedCursor(block); !cursor.done; count++) {
    cursor.nextKey();
    cursor.nextVersion();
    if (check) checkWritten(cursor);
  }
  return count;
}

/**
 * Gives each entry of a block a version, in their order.
 *
 * @param version.stamp  of the first
 * @param version.expiryFromMs  what expiries that stand there count from, as unix time in ms
 * @returns the stamp of the last
 */
export function stampBlock(
  block: Uint8Array,
  version: { readonly stamp: number; readonly writer: number; readonly expiryFromMs: number },
): number {
  const { writer, expiryFromMs } = version;
  let { stamp } = version;
  for (const cursor = new PackedCursor(block); !cursor.done;) {
    cursor.nextKey();
    cursor.nextVersion();
    cursor.stampAs(stamp++, writer, cursor.expiresAt + expiryFromMs);
  }
  return stamp - 1;
}

function checkWritten({ found, valueStart, valueEnd, expiresAt }: PackedCursor): void {
  if (found !== 'version') throw new WaymarkError('invalid', 'a write is a value, or a delete');
  checkValueBytes(valueEnd - valueStart);
  const ttl = Number.isInteger(expiresAt) && expiresAt >= 0 && expiresAt <= limits.ttlMsMax;
  if (!ttl) throw new WaymarkError('invalid', `a time to live is 1 to ${limits.ttlMsMax} ms`);
}
