import { partitionCount } from 'waymark/stash';
import { crc32 } from './crc32.js';
import type { Table } from './lmdb.js';

export interface PartitionFloor {
  readonly partition: number;
  readonly sealed: number;
  readonly purged: number;
}

/**
 * Stamps of each partition, kept over restarts (rule D5.6):
 *
 * - *sealed*: up to here no write of a coordinator is taken any more. What one of a deleted key would bring back is refused so, when its tombstone is gone.
 * - *purged*: tombstones up to here are gone, because all replicas had them. Never above sealed.
 */
export class Floors {
  readonly #meta: Table;
  readonly #sealed = new Float64Array(partitionCount);
  readonly #purged = new Float64Array(partitionCount);

  /** @param high  the highest stamp that was seen: what stands in for one that is damaged, so that coordinators stamp above it */
  constructor(meta: Table, high: number) {
    this.#meta = meta;
    const range = { start: keyOf(0), end: Buffer.from([keyByte, 0xff, 0xff]) };
    for (const { key, value } of meta.getRange(range)) {
      if (key.length !== keyBytes) continue;
      const partition = key.readUInt16BE(1);
      const sound = value.length === 20 && value.readUInt32BE(0) === crc32(value, 4, 20);
      this.#sealed[partition] = sound ? value.readDoubleBE(4) : high;
      this.#purged[partition] = sound ? value.readDoubleBE(12) : 0;
    }
  }

  sealed(partition: number): number {
    return this.#sealed[partition] as number;
  }

  purged(partition: number): number {
    return this.#purged[partition] as number;
  }

  /** Raises them. @returns what writes them down, to be done with a commit */
  raise(partition: number, to: { readonly sealed?: number; readonly purged?: number }): () => void {
    const sealed = Math.max(this.sealed(partition), to.sealed ?? 0, to.purged ?? 0);
    const purged = Math.max(this.purged(partition), to.purged ?? 0);
    this.#sealed[partition] = sealed;
    this.#purged[partition] = purged;
    const bytes = Buffer.alloc(20);
    bytes.writeDoubleBE(sealed, 4);
    bytes.writeDoubleBE(purged, 12);
    bytes.writeUInt32BE(crc32(bytes, 4, 20));
    return () => void this.#meta.put(keyOf(partition), bytes);
  }

  /** Of those that are higher than what stands here. @returns as `raise`, for each of them */
  raiseAll(told: readonly PartitionFloor[]): (() => void)[] {
    return told
      .filter(
        ({ partition, sealed, purged }) =>
          sealed > this.sealed(partition) || purged > this.purged(partition),
      )
      .map(({ partition, ...to }) => this.raise(partition, to));
  }

  /** Of a partition that is kept no more. @returns what writes it down */
  clear(partition: number): () => void {
    this.#sealed[partition] = this.#purged[partition] = 0;
    return () => void this.#meta.remove(keyOf(partition));
  }
}

/** `f`, and the partition in two bytes. */
const keyByte = 0x66;
const keyBytes = 3;

function keyOf(partition: number): Buffer {
  return Buffer.from([keyByte, partition >>> 8, partition & 0xff]);
}
