import { type Hash64, mix64, partitionCount } from './hash.js';

/**
 * Digests of partitions as nodes tell them to each other: for each a byte, 1 where it is known, and 8 bytes. One that is not known is being worked out.
 */
const itemBytes = 9;
/** Partitions to a group: two nodes that hold the same tell each other 64 numbers. */
export const digestGroup = 64;

/** What is told of one partition or group; null: not known yet. */
export type Digest = Hash64 | null;

export function packDigests(digests: readonly Digest[]): Uint8Array {
  const packed = Buffer.alloc(digests.length * itemBytes);
  for (const [at, digest] of digests.entries()) {
    if (digest === null) continue;
    packed[at * itemBytes] = 1;
    packed.writeUInt32BE(digest.high, at * itemBytes + 1);
    packed.writeUInt32BE(digest.low, at * itemBytes + 5);
  }
  return packed;
}

export function unpackDigests(packed: Uint8Array): Digest[] {
  const block = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: Math.floor(block.length / itemBytes) }, (_, at) => {
    if (block[at * itemBytes] !== 1) return null;
    const high = block.readUInt32BE(at * itemBytes + 1);
    return { high, low: block.readUInt32BE(at * itemBytes + 5) };
  });
}

/** One of several: another one where any of them is another, or two changed places. Null where one is not known. */
export function combined(digests: readonly Digest[]): Digest {
  let [high, low] = [0, 0];
  for (const digest of digests) {
    if (digest === null) return null;
    ({ high, low } = mix64((high ^ digest.high) >>> 0, (low ^ digest.low) >>> 0));
  }
  return { high, low };
}

/** Partitions by their bits, as calls have them. */
export function bitsOf(partitions: Iterable<number>): Uint8Array {
  const bits = new Uint8Array(partitionCount / 8);
  for (const one of partitions) bits[one >> 3] = (bits[one >> 3] as number) | (1 << (one & 7));
  return bits;
}

/** Ascending. */
export function partitionsOf(bits: Uint8Array): number[] {
  const partitions: number[] = [];
  for (let one = 0; one < partitionCount; one++) {
    if (((bits[one >> 3] ?? 0) & (1 << (one & 7))) !== 0) partitions.push(one);
  }
  return partitions;
}

/** In groups, those that have any of the partitions. */
export function groupsOf(partitions: readonly number[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const one of partitions) {
    const group = Math.floor(one / digestGroup);
    groups.set(group, [...(groups.get(group) ?? []), one]);
  }
  return [...groups.values()];
}
