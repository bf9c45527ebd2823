import { type HybridClock, isNewer } from 'waymark/stash';
import { crc32 } from './crc32.js';
import { fnv32, versionHash } from './digests.js';
import type { DiskKeys } from './disk-key.js';
import { dueAt } from './due.js';
import type { Floors } from './floors.js';
import type { Group } from './group.js';
import type { GroupCommit } from './group-commit.js';
import { RecordSource, type Tables } from './lmdb.js';
import { type RecordFacts, RecordReader, type RecordValue, writeRecord } from './record.js';

export interface WritesParts {
  readonly tables: Tables;
  readonly keys: DiskKeys;
  readonly commits: GroupCommit;
  /** The highest stamp that was seen: on the disk with the group that brought it (rule D2.3). */
  readonly stamps: HybridClock;
  /** Up to where partitions take no writes. */
  readonly floors: Floors;
}

/** Nothing, to be compared with versions. */
const nothing: RecordFacts = { stamp: 0, writer: 0, expiresAt: 0 };
/** A record that does not match its CRC: what is put instead of it may be what it was. */
const damaged: RecordFacts = { ...nothing };

/**
 * Compares what is to be written with what is there. There is what lies on the disk, and above it what was put and is not committed yet: two writes in a
 * row are compared with each other, though both are in one group.
 */
export class Writes {
  readonly parts: WritesParts;
  /** Of the key that was looked up last. */
  keyCrc = 0;
  keyFnv = 0;
  /** The group that has what is there, where it is not on the disk yet. */
  under: Group | null = null;
  readonly #record = new RecordReader();
  readonly #source = new RecordSource();
  #lastGroup: Group | null = null;

  constructor(parts: WritesParts) {
    this.parts = parts;
  }

  /** @param bytes  of keys and records together, at most. @param more  of the same batch more follows at once */
  begin(bytes: number, more = false): PartWrite {
    const group = this.parts.commits.gather();
    if (group !== this.#lastGroup) {
      this.#lastGroup = group;
      const { tables, stamps } = this.parts;
      group.alongside.push(() => tables.meta.put(highKey, encodeHigh(stamps.high)));
    }
    return new PartWrite(this, group, bytes, more);
  }

  /**
   * Removes those of some keys on disk that are to go, without a trace. Resolves when that is on the disk.
   *
   * @param goes  whether the key that was taken last does
   * @returns how many went
   */
  async discard(of: readonly { readonly key: Buffer }[], goes: () => boolean): Promise<number> {
    const written = this.begin(of.reduce((sum, { key }) => sum + key.length, 0));
    let count = 0;
    for (const { key } of of) {
      this.parts.keys.take(key);
      if (!goes()) continue;
      written.remove(key.readUInt16BE(0));
      count++;
    }
    await written.done();
    return count;
  }

  /** The version of the key that was composed or taken last. */
  current(): RecordFacts {
    const { keys, tables, commits } = this.parts;
    const { bytes, length } = keys;
    this.keyCrc = crc32(bytes, 0, length);
    this.keyFnv = fnv32(bytes, 0, length);
    const pending = commits.pending(bytes, length, this.keyFnv, this.#record);
    this.under = pending?.group ?? null;
    if (pending !== null) return pending.found === 'record' ? this.#record : nothing;
    const source = this.#source;
    if (!source.read(tables.entries, keys)) return nothing;
    return this.#record.read(source.block, 0, source.length, this.keyCrc) ? this.#record : damaged;
  }

  /** The record of that key as it lies on the disk; null while something is to be written there, and for a damaged one. */
  stored(): RecordReader | null {
    const current = this.current();
    return this.under === null && current === this.#record ? this.#record : null;
  }

  /** Whether what lies on the disk of that key cannot be read, and nothing is to be written there. */
  isDamaged(): boolean {
    return this.current() === damaged;
  }
}

/** The writes of one call. What is put is the key that was composed last. */
export class PartWrite {
  /** The highest stamp that was there and newer than what was to be written. */
  newest = 0;
  readonly #writes: Writes;
  readonly #group: Group;
  readonly #block: Buffer;
  readonly #more: boolean;
  /** Groups of others that have the same version already under way. */
  readonly #others = new Set<Group>();
  #end = 0;
  #count = 0;

  constructor(writes: Writes, group: Group, bytes: number, more: boolean) {
    this.#writes = writes;
    this.#group = group;
    this.#more = more;
    this.#block = Buffer.allocUnsafeSlow(bytes);
  }

  /**
   * Puts a version unless a newer one is there.
   *
   * @param sealed  up to this stamp nothing is taken any more (rule D5.6), but in the place of a damaged record
   */
  put(partition: number, version: RecordFacts, value: RecordValue | null, sealed: number): void {
    const current = this.#writes.current();
    if (!isNewer(version, current)) {
      if (isNewer(current, version) && current.writer !== version.writer)
        this.newest = Math.max(this.newest, current.stamp);
      if (this.#writes.under !== null) this.#others.add(this.#writes.under);
      return;
    }
    if (version.stamp <= sealed && current !== damaged) {
      this.newest = Math.max(this.newest, sealed);
      return;
    }
    this.#set(partition, current, version, value);
  }

  /** Takes the value from the version that is there, which was looked up last. */
  bury(partition: number, version: RecordFacts): void {
    const facts = { stamp: version.stamp, writer: version.writer, expiresAt: 0 };
    this.#set(partition, version, facts, null);
  }

  /** Removes without a trace. */
  remove(partition: number): void {
    const current = this.#writes.current();
    this.#changed(partition, current, nothing);
    const keyStart = this.#key();
    this.#group.put(this.#block, keyStart, this.#end, this.#end, this.#writes.keyFnv);
  }

  /** @returns `newest`, once all of it is on the disk */
  async done(): Promise<number> {
    if (this.#count > 0) this.#group.bytes += this.#end;
    this.#writes.parts.commits.grew(this.#more);
    const waits = [...this.#others].map(({ done }) => done);
    if (this.#count > 0) waits.push(this.#group.done);
    if (waits.length === 1) await waits[0];
    else if (waits.length > 1) await Promise.all(waits);
    return this.newest;
  }

  #set(
    partition: number,
    before: RecordFacts,
    version: RecordFacts,
    value: RecordValue | null,
  ): void {
    const block = this.#block;
    const { parts, keyCrc, keyFnv } = this.#writes;
    this.#changed(partition, before, version);
    const keyStart = this.#key();
    const keyEnd = this.#end;
    this.#end = writeRecord(block, keyEnd, keyCrc, version, value);
    this.#group.put(block, keyStart, keyEnd, this.#end, keyFnv);
    const due = dueAt(version, value !== null && value.valueStart >= 0);
    if (due === null) return;
    const { tables } = parts;
    this.#group.alongside.push(() =>
      tables.due.put(due.key(block.subarray(keyStart, keyEnd)), oneByte),
    );
  }

  #key(): number {
    const start = this.#end;
    this.#end = this.#writes.parts.keys.copyTo(this.#block, start);
    return start;
  }

  /** Before anything else is read: `before` may be the reader's own fields. */
  #changed(partition: number, before: RecordFacts, after: RecordFacts): void {
    this.#count++;
    const { keyCrc, keyFnv } = this.#writes;
    if (before === damaged) this.#group.doubtful.push(partition);
    let [high, low] = [0, 0];
    if (before.stamp !== 0) ({ high, low } = versionHash(keyCrc, keyFnv, before));
    if (after.stamp !== 0) {
      const into = versionHash(keyCrc, keyFnv, after);
      high ^= into.high;
      low ^= into.low;
    }
    this.#group.toggle(partition, high, low);
  }
}

/** A table knows a key by something. */
const oneByte = Buffer.from([1]);

export const highKey = Buffer.from('high');

export function encodeHigh(stamp: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeDoubleBE(stamp, 4);
  bytes.writeUInt32BE(crc32(bytes, 4, 12), 0);
  return bytes;
}

/** 0 where it is damaged: what was read and is higher is heard of again. */
export function decodeHigh(bytes: Buffer | undefined): number {
  if (bytes?.length !== 12 || bytes.readUInt32BE(0) !== crc32(bytes, 4, 12)) return 0;
  return bytes.readDoubleBE(4);
}
