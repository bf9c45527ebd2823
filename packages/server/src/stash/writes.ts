import { type HybridClock, isNewer } from 'waymark/stash';
import { crc32 } from './crc32.js';
import { type Digests, entryHash } from './digests.js';
import type { DiskKeys } from './disk-key.js';
import { dueAt } from './due.js';
import type { Floors } from './floors.js';
import type { Group, GroupCommit } from './group-commit.js';
import { readRecord, type Tables } from './lmdb.js';
import { type RecordFacts, RecordReader, type RecordValue, writeRecord } from './record.js';

export interface WritesParts {
  readonly tables: Tables;
  readonly keys: DiskKeys;
  readonly commits: GroupCommit;
  readonly digests: Digests;
  /** The highest stamp that was seen: on the disk with the group that brought it (rule D2.3). */
  readonly stamps: HybridClock;
  /** Up to where partitions take no writes. */
  readonly floors: Floors;
}

/** What is to be written of a key and is not on the disk yet. */
interface Pending extends RecordFacts {
  readonly group: Group;
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
  /** By key on disk. */
  readonly #pending = new Map<string, Pending>();
  readonly #record = new RecordReader();
  #lastGroup: Group | null = null;

  constructor(parts: WritesParts) {
    this.parts = parts;
  }

  /** @param bytes  of keys and records together, at most */
  begin(bytes: number): PartWrite {
    const group = this.parts.commits.gather();
    if (group !== this.#lastGroup) {
      this.#lastGroup = group;
      const { tables, stamps } = this.parts;
      group.alongside.push(() => tables.meta.put(highKey, encodeHigh(stamps.high)));
    }
    return new PartWrite(this, group, bytes);
  }

  /** The version of the key that was composed last. */
  current(): RecordFacts | Pending {
    const pending = this.#pendingOf();
    if (pending !== undefined) return pending;
    const { keys, tables } = this.parts;
    const found = readRecord(tables.entries, keys);
    if (found === undefined) return nothing;
    return this.#record.read(found, crc32(keys.bytes, 0, keys.length)) ? this.#record : damaged;
  }

  /** The record of the key that was taken last, as it lies on the disk; null while something is to be written there, and for a damaged one. */
  stored(): RecordReader | null {
    const current = this.#pendingOf() ?? this.current();
    return current === this.#record ? this.#record : null;
  }

  #pendingOf(): Pending | undefined {
    if (this.#pending.size === 0) return undefined;
    const { keys } = this.parts;
    return this.#pending.get(keys.bytes.toString('latin1', 0, keys.length));
  }

  pend(key: string, pending: Pending): void {
    this.#pending.set(key, pending);
    pending.group.whenOver.push(() => {
      if (this.#pending.get(key) === pending) this.#pending.delete(key);
    });
  }
}

/** The writes of one call. What is put is the key that was composed last. */
export class PartWrite {
  /** The highest stamp that was there and newer than what was to be written. */
  newest = 0;
  readonly #writes: Writes;
  readonly #group: Group;
  readonly #block: Buffer;
  /** Groups of others that have the same version already under way. */
  readonly #others = new Set<Group>();
  #end = 0;
  #count = 0;

  constructor(writes: Writes, group: Group, bytes: number) {
    this.#writes = writes;
    this.#group = group;
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
      if ('group' in current) this.#others.add(current.group);
      return;
    }
    if (version.stamp <= sealed && current !== damaged) {
      this.newest = Math.max(this.newest, sealed);
      return;
    }
    this.#set(partition, current, version, value);
  }

  /** Takes the value from the version that is there. */
  bury(partition: number, version: RecordFacts): void {
    const facts = { stamp: version.stamp, writer: version.writer, expiresAt: 0 };
    this.#set(partition, version, facts, null);
  }

  /** Removes without a trace. */
  remove(partition: number): void {
    const current = this.#writes.current();
    const keyStart = this.#key();
    this.#group.puts.push({ block: this.#block, keyStart, keyEnd: this.#end, end: this.#end });
    this.#changed(partition, keyStart, this.#end, current, nothing);
  }

  /** @returns `newest`, once all of it is on the disk */
  async done(): Promise<number> {
    if (this.#count > 0) this.#group.bytes += this.#end;
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
    const keyStart = this.#key();
    const keyEnd = this.#end;
    // Copied: `before` may be the reader's own fields.
    this.#changed(partition, keyStart, keyEnd, before, version);
    this.#end = writeRecord(block, keyStart, keyEnd, version, value);
    this.#group.puts.push({ block, keyStart, keyEnd, end: this.#end });
    const due = dueAt(version, value !== null && value.valueStart >= 0);
    if (due === null) return;
    const { tables } = this.#writes.parts;
    this.#group.alongside.push(() =>
      tables.due.put(due.key(block.subarray(keyStart, keyEnd)), oneByte),
    );
  }

  #key(): number {
    const { bytes, length } = this.#writes.parts.keys;
    const start = this.#end;
    this.#end += bytes.copy(this.#block, start, 0, length);
    return start;
  }

  #changed(
    partition: number,
    start: number,
    end: number,
    before: RecordFacts,
    after: RecordFacts,
  ): void {
    this.#count++;
    const block = this.#block;
    const { digests } = this.#writes.parts;
    const out = before.stamp === 0 ? null : entryHash(block, start, end, before);
    const into = after.stamp === 0 ? null : entryHash(block, start, end, after);
    const { stamp, writer, expiresAt } = after;
    const group = this.#group;
    this.#writes.pend(block.toString('latin1', start, end), { stamp, writer, expiresAt, group });
    group.whenDone.push(() => {
      if (before === damaged) digests.doubt(partition);
      if (out !== null) digests.toggle(partition, out.high, out.low);
      if (into !== null) digests.toggle(partition, into.high, into.low);
    });
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
