import { crc32 } from '../crc32.js';
import { entryHash } from '../digests.js';
import { RecordReader } from '../record.js';
import type { StashStore } from '../store.js';

/**
 * Reads all of a partition, so that what is damaged is found before anybody asks for it (rule D5.4). What LMDB's own pages lost shows in no record, but in the digest: that is worked out anew then, and
 * differs from other replicas'.
 *
 * @returns whether a record is damaged
 */
export async function scrub(partition: number, store: StashStore): Promise<boolean> {
  const { partitions, suspects } = store;
  const { told, snapshot } = await partitions.atRest((taken) => {
    return { told: partitions.knownDigest(partition), snapshot: taken };
  });
  const record = new RecordReader();
  let [high, low] = [0, 0];
  for await (const entries of partitions.pages(partition, snapshot)) {
    for (const { key, value } of entries) {
      if (!record.read(value, 0, value.length, crc32(key, 0, key.length))) {
        suspects.add(partition);
        return true;
      }
      const hash = entryHash(key, 0, key.length, record);
      high = (high ^ hash.high) >>> 0;
      low = (low ^ hash.low) >>> 0;
    }
  }
  if (told !== null && (told.high !== high || told.low !== low)) partitions.doubt(partition);
  return false;
}
