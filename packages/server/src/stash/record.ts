import { limits } from 'waymark/engine';
import type { Packer, StashVersion } from 'waymark/stash';
import { crc32 } from './crc32.js';

/**
 * What lies behind a key on disk:
 *
 *   CRC-32   4 bytes, of the key on disk and all that follows
 *   flags    1 byte: 1 a value, 2 a time to live
 *   stamp    8 bytes, a double
 *   writer   4 bytes
 *   expiry   8 bytes, a double, where flagged: unix time in ms
 *   value    the rest, where flagged
 *
 * Numbers are big endian. A record without value is a tombstone.
 */
const flags = { value: 1, expiry: 2 } as const;
const fixedBytes = 17;
const expiryBytes = 8;
const nothing = Buffer.alloc(0);

export const recordBytesMax = fixedBytes + expiryBytes + limits.valueBytesMax;

export type RecordFacts = Pick<StashVersion, 'stamp' | 'writer' | 'expiresAt'>;

export function recordBytes(facts: RecordFacts, valueBytes: number): number {
  return fixedBytes + (facts.expiresAt === 0 ? 0 : expiryBytes) + Math.max(0, valueBytes);
}

export interface RecordValue {
  readonly block: Buffer;
  /** −1: no value. */
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Writes a record. @param keyCrc  of the key it is put at. @returns where it ends */
export function writeRecord(
  into: Buffer,
  at: number,
  keyCrc: number,
  { stamp, writer, expiresAt }: RecordFacts,
  value: RecordValue | null,
): number {
  const hasValue = value !== null && value.valueStart >= 0;
  into[at + 4] = (hasValue ? flags.value : 0) | (expiresAt === 0 ? 0 : flags.expiry);
  into.writeDoubleBE(stamp, at + 5);
  let end = into.writeUInt32BE(writer, at + 13);
  if (expiresAt !== 0) end = into.writeDoubleBE(expiresAt, end);
  if (hasValue) end += value.block.copy(into, end, value.valueStart, value.valueEnd);
  into.writeUInt32BE(crc32(into, at + 4, end, keyCrc), at);
  return end;
}

/** Reads records without an object for each: what was read last is in its fields. */
export class RecordReader implements RecordFacts {
  stamp = 0;
  writer = 0;
  expiresAt = 0;
  /** Where in `block` the value begins; −1: there is none. It ends with the record. */
  valueStart = -1;
  block: Buffer = nothing;
  start = 0;
  end = 0;

  /** @param keyCrc  of the key it was found at. @returns false for what does not match its CRC: then nothing in it is to be believed */
  read(block: Buffer, start: number, end: number, keyCrc: number): boolean {
    if (end - start < fixedBytes) return false;
    if (block.readUInt32BE(start) !== crc32(block, start + 4, end, keyCrc)) return false;
    this.take(block, start, end);
    return true;
  }

  /** Reads one that was made here. */
  take(block: Buffer, start: number, end: number): void {
    this.block = block;
    this.start = start;
    this.end = end;
    const flagged = block[start + 4] as number;
    this.stamp = block.readDoubleBE(start + 5);
    this.writer = block.readUInt32BE(start + 13);
    const factsEnd = start + fixedBytes;
    const expiring = (flagged & flags.expiry) !== 0;
    this.expiresAt = expiring ? block.readDoubleBE(factsEnd) : 0;
    const valueStart = expiring ? factsEnd + expiryBytes : factsEnd;
    this.valueStart = (flagged & flags.value) === 0 ? -1 : valueStart;
  }

  /** Whether it has a value whose time is not over. */
  isLive(now: number): boolean {
    return this.valueStart >= 0 && (this.expiresAt === 0 || this.expiresAt > now);
  }

  /** As a finding. Stamp, writer and expiry lie in both in the same order. */
  pack(into: Packer, now: number, versionsOnly: boolean): void {
    const { block, start, end, valueStart, expiresAt } = this;
    const live = this.isLive(now);
    const facts = { block, start: start + 5, expiring: expiresAt !== 0 };
    into.laid(facts, live ? valueStart : -1, versionsOnly ? valueStart : end);
  }
}
