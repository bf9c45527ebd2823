import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { type Batch, checkValueBytes } from './batch.js';
import { type PackedCursor, stampVersion } from './packed.js';

/** Reads an entry's version as a caller gave it. @throws {WaymarkError} `invalid`, `too_large` */
export function checkWritten(cursor: PackedCursor): void {
  cursor.nextVersion();
  const { found, valueStart, valueEnd, expiresAt } = cursor;
  if (found !== 'version') throw new WaymarkError('invalid', 'a write is a value, or a delete');
  checkValueBytes(valueEnd - valueStart);
  const ttl = Number.isInteger(expiresAt) && expiresAt >= 0 && expiresAt <= limits.ttlMsMax;
  if (!ttl) throw new WaymarkError('invalid', `a time to live is 1 to ${limits.ttlMsMax} ms`);
}

/**
 * Gives each entry a version, in their order.
 *
 * @param block  that of the batch, or a copy of it
 * @param version.stamp  of the first
 * @param version.laterMs  what expiries that stand there are moved by
 * @returns the stamp of the last
 */
export function stampBatch(
  block: Buffer,
  { count, keyEnds }: Pick<Batch, 'count' | 'keyEnds'>,
  version: { readonly stamp: number; readonly writer: number; readonly laterMs: number },
): number {
  const { writer, laterMs } = version;
  let { stamp } = version;
  for (let i = 0; i < count; i++)
    stampVersion(block, keyEnds[i] as number, { stamp: stamp++, writer, laterMs });
  return stamp - 1;
}
