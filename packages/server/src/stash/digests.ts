import { type Hash64, mix64, partitionCount } from 'waymark/stash';
import { crc32 } from './crc32.js';

/**
 * A digest of each partition: the XOR of a hash of each key with its version, tombstones too. Two replicas that hold the same have the same one, whatever the order in which it came; and a
 * write changes it by what was there and what is. What is known is kept in memory; after an unclean end it is worked out again for the partition that is asked for.
 */
export class Digests {
  readonly #high = new Int32Array(partitionCount);
  readonly #low = new Int32Array(partitionCount);
  readonly #known = new Uint8Array(partitionCount);

  get(partition: number): Hash64 | null {
    if (this.#known[partition] === 0) return null;
    return {
      high: (this.#high[partition] as number) >>> 0,
      low: (this.#low[partition] as number) >>> 0,
    };
  }

  /** From here on it is worked out anew: what is there is put in, and what is written meanwhile as ever. */
  forget(partition: number): void {
    this.#high[partition] = this.#low[partition] = this.#known[partition] = 0;
  }

  complete(partition: number): Hash64 {
    this.#known[partition] = 1;
    return this.get(partition) as Hash64;
  }

  /** It is not what it says: something was there of which nobody knows what it was. */
  doubt(partition: number): void {
    this.#known[partition] = 0;
  }

  /** Puts an entry's hash in, or takes it out. */
  toggle(partition: number, high: number, low: number): void {
    this.#high[partition] = (this.#high[partition] as number) ^ high;
    this.#low[partition] = (this.#low[partition] as number) ^ low;
  }

  /** All of them, or null when not all are known. */
  save(): Buffer | null {
    if (this.#known.includes(0)) return null;
    const saved = Buffer.alloc(4 + partitionCount * 8);
    for (let partition = 0; partition < partitionCount; partition++) {
      saved.writeInt32BE(this.#high[partition] as number, 4 + partition * 8);
      saved.writeInt32BE(this.#low[partition] as number, 8 + partition * 8);
    }
    saved.writeUInt32BE(crc32(saved, 4, saved.length), 0);
    return saved;
  }

  /** What was saved at a clean end, unless it is damaged; undefined: all partitions are empty. */
  load(saved: Buffer | undefined): void {
    if (saved === undefined) return void this.#known.fill(1);
    if (saved.length !== 4 + partitionCount * 8) return;
    if (saved.readUInt32BE(0) !== crc32(saved, 4, saved.length)) return;
    for (let partition = 0; partition < partitionCount; partition++) {
      this.#high[partition] = saved.readInt32BE(4 + partition * 8);
      this.#low[partition] = saved.readInt32BE(8 + partition * 8);
    }
    this.#known.fill(1);
  }
}

/** Of one entry, by its key on disk and its version. */
export function entryHash(
  block: Uint8Array,
  start: number,
  end: number,
  version: HashedVersion,
): Hash64 {
  return versionHash(crc32(block, start, end), fnv32(block, start, end), version);
}

export interface HashedVersion {
  readonly stamp: number;
  readonly writer: number;
}

/** The same by two hashes of the key that have nothing in common, and so 64 bits of it. */
export function versionHash(keyCrc: number, keyFnv: number, version: HashedVersion): Hash64 {
  const { stamp, writer } = version;
  const mixed = mix64((Math.floor(stamp / 0x1_0000_0000) ^ writer) >>> 0, stamp >>> 0);
  return mix64((keyCrc ^ mixed.high) >>> 0, (keyFnv ^ mixed.low) >>> 0);
}

export function fnv32(block: Uint8Array, start: number, end: number): number {
  let fnv = 0x811c9dc5;
  for (let i = start; i < end; i++) fnv = Math.imul(fnv ^ (block[i] as number), 0x01000193);
  return fnv;
}
