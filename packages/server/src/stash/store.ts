import { type Clock, WaymarkError } from 'waymark/engine';
import {
  answerBytesMax,
  type HybridClock,
  type NodePage,
  type NodeScan,
  PackedCursor,
  Packer,
  partitionCount,
} from 'waymark/stash';
import { crc32 } from './crc32.js';
import { afterPrefix, endOfAll, partitionStart } from './disk-key.js';
import { Hints } from './hints.js';
import { KnownIndexes } from './known-indexes.js';
import { RecordSource, type TableStats } from './lmdb.js';
import { measureEntries, measureKey, measurePending, type PartSize } from './part-limits.js';
import { Overdue } from './overdue.js';
import type { Digests } from './digests.js';
import { Partitions } from './partitions.js';
import { RecordReader } from './record.js';
import type { Room } from './room.js';
import { noFigures } from './store-figures.js';
import { WarmUp } from './warm-up.js';
import { Writes, type WritesParts } from './writes.js';

export interface StoreParts extends WritesParts {
  /** Drawn when the directory was made. */
  readonly id: string;
  readonly room: Room;
  readonly digests: Digests;
  readonly clock: Clock;
  /** Values are refused when it has so much. */
  readonly quotaBytes: number | undefined;
  /** What there is of it: where data takes more than half, it is read on another thread first. Default: the machine's, or what this process is held to. */
  readonly memoryBytes?: number | undefined;
  readonly close: () => Promise<void>;
}

/** As NodeScan asks for it, without the epoch. */
export type ScanRange = Omit<NodeScan, 'epoch' | 'index'>;

/** Of a page, and of what is done without letting others have their turn. */
const pageEntries = 500;

/**
 * Entries of one node on its disk: of each key the newest version (rule D2.1), with its CRC. What is read was committed, and may not be flushed yet; what is written is answered when it is.
 * Reads are synchronous: LMDB maps its file, and a page that is in memory costs a microsecond.
 */
export class StashStore {
  readonly id: string;
  readonly figures = noFigures();
  /** Partitions in which a damaged record was found. */
  readonly suspects = new Set<number>();
  /** What other nodes ask of partitions. */
  readonly partitions: Partitions;
  /** What other nodes missed. */
  readonly hints: Hints;
  /** What is over, and to be done away with. */
  readonly overdue: Overdue;
  readonly #parts: StoreParts;
  readonly #writes: Writes;
  readonly #indexes = new KnownIndexes();
  readonly #record = new RecordReader();
  readonly #source = new RecordSource();
  readonly #warmUp: WarmUp;
  #factor = 1;
  #closed: Promise<void> | null = null;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#writes = new Writes(parts);
    this.partitions = new Partitions(parts, this.#writes, this);
    this.overdue = new Overdue(parts, this.#writes, this.figures);
    this.hints = new Hints(parts.tables.hints, parts.commits);
    const storedBytes = (): number => this.stats().bytes;
    this.#warmUp = new WarmUp({ ...parts, entries: parts.tables.entries, storedBytes });
    this.id = parts.id;
  }

  /** The clock of its stamps, for who stamps in this process: what it gave is on the disk with what is written. */
  get stamps(): HybridClock {
    return this.#parts.stamps;
  }

  get writable(): boolean {
    return this.#closed === null && this.#parts.room.writable;
  }

  /** What failed, where it takes no writes until it is started anew. */
  get broken(): WaymarkError | null {
    const { room } = this.#parts;
    return room.broken ? room.error() : null;
  }

  /** Resolves once it may be written to. @throws {WaymarkError} `storage_full`, `unavailable` */
  async checkRoom(): Promise<void> {
    this.checkOpen();
    await this.#parts.room.check();
  }

  /** @throws {WaymarkError} `unavailable` */
  checkOpen(): void {
    if (this.#closed !== null) throw new WaymarkError('unavailable', 'the node stops');
  }

  /** Whether what is asked of it may have to come from the disk: then `warm` it first, or all who are served here wait. */
  get cold(): boolean {
    return this.#closed === null && this.#warmUp.needed;
  }

  /** Resolves when the pages of packed keys, or of the keys of packed entries, are in memory. @throws {WaymarkError} `invalid` */
  async warm(index: string, packed: Uint8Array, entries: boolean): Promise<void> {
    this.checkOpen();
    await this.#warmUp.of(this.#indexes.of(index), packed, entries);
  }

  /** @returns as StashNode.read. @throws {WaymarkError} `invalid`, `too_large` */
  read(index: string, keys: Uint8Array, versionsOnly: boolean): Uint8Array {
    this.checkOpen();
    const { tables, keys: disk, clock } = this.#parts;
    const { bytes, hash } = this.#indexes.of(index);
    const now = clock.wallNow();
    const asked = new PackedCursor(keys);
    const packer = new Packer();
    // As many bytes for each byte of a key as the last time.
    packer.reserve(Math.min(answerBytesMax, keys.length * this.#factor));
    while (!asked.done) {
      asked.nextKey();
      const { block, keyStart, keyEnd } = asked;
      measureKey(packer.count, keyEnd - keyStart);
      const partition = hash.partitionAt(block, keyStart, keyEnd);
      disk.compose(partition, bytes, block, keyStart, keyEnd);
      const source = this.#source;
      if (!source.read(tables.entries, disk)) packer.finding(null);
      else {
        const crc = crc32(disk.bytes, 0, disk.length);
        const sound = this.#record.read(source.block, 0, source.length, crc);
        if (!this.#pack(packer, sound, now, versionsOnly)) this.suspects.add(partition);
      }
      if (packer.bytes >= answerBytesMax) break;
    }
    this.figures.reads += packer.count;
    this.#factor = (packer.bytes * 1.1) / Math.max(1, asked.end);
    return packer.take();
  }

  /**
   * Puts the packed entries that are newer than what is there. Resolves when they are on the disk.
   *
   * @param more  as in NodeWrite. @returns as StashNode.write
   * @throws {WaymarkError} `invalid` for stamps too far ahead, `storage_full`, `unavailable`, `uncertain`, `overloaded`, `too_large`
   */
  async write(index: string, entries: Uint8Array, more = false): Promise<number> {
    if (!this.writable) await this.checkRoom();
    const { keys, floors, stamps } = this.#parts;
    const { bytes, hash } = this.#indexes.of(index);
    const part = measureEntries(entries, bytes.length);
    this.admit(part);
    stamps.admit(part.stampMax);
    const written = this.#writes.begin(part.diskBytes, more);
    const cursor = new PackedCursor(entries);
    while (!cursor.done) {
      cursor.nextKey();
      const { block, keyStart, keyEnd } = cursor;
      const partition = hash.partitionAt(block, keyStart, keyEnd);
      keys.compose(partition, bytes, block, keyStart, keyEnd);
      cursor.nextVersion();
      written.put(partition, cursor, cursor, floors.sealed(partition));
    }
    this.figures.writes += part.count;
    return await written.done();
  }

  /** Marks packed keys of an index as missed by another node. */
  async hint(node: string, index: string, keys: Uint8Array): Promise<void> {
    this.checkOpen();
    const { bytes, hash } = this.#indexes.of(index);
    const asked = new PackedCursor(keys);
    const missed: Buffer[] = [];
    while (!asked.done) {
      asked.nextKey();
      const { block, keyStart, keyEnd } = asked;
      measureKey(missed.length, keyEnd - keyStart);
      const partition = hash.partitionAt(block, keyStart, keyEnd);
      missed.push(
        Buffer.concat([partitionStart(partition), bytes, block.subarray(keyStart, keyEnd)]),
      );
    }
    await this.hints.add(node, missed);
  }

  /** @throws {WaymarkError} `storage_full`, `overloaded`: what refuses a part whatever its entries are */
  admit({ values }: PartSize): void {
    if (values > 0) this.#checkQuota();
    measurePending(this.#parts.commits.pendingBytes);
  }

  /** Entries of an index in some partitions, tombstones too. @see StashNode.scan */
  async scan(index: string, asked: ScanRange): Promise<NodePage> {
    this.checkOpen();
    const { bytes } = this.#indexes.of(index);
    const packer = new Packer();
    let { after } = asked;
    let steps = 0;
    for (let partition = 0; partition < partitionCount; partition++) {
      if (((asked.partitions[partition >> 3] ?? 0) & (1 << (partition & 7))) === 0) continue;
      if (++steps % pageEntries === 0) await this.#turn();
      const head = Buffer.concat([partitionStart(partition), bytes]);
      if (!this.#scanPartition(packer, head, { ...asked, after }))
        return { entries: packer.take(), more: true };
      after = undefined;
    }
    return { entries: packer.take(), more: false };
  }

  /** @returns whether that was all of it: else there was no room for more */
  #scanPartition(packer: Packer, head: Buffer, asked: ScanRange): boolean {
    const begin = Buffer.concat([head, Buffer.from(asked.prefix, 'latin1')]);
    const after = Buffer.concat([head, Buffer.from(asked.after ?? '', 'latin1')]);
    const exclusiveStart = asked.after !== undefined && Buffer.compare(after, begin) >= 0;
    const now = this.#parts.clock.wallNow();
    for (const { key, value } of this.#parts.tables.entries.getRange({
      start: exclusiveStart ? after : begin,
      end: afterPrefix(begin),
      exclusiveStart,
    })) {
      if (packer.count >= asked.limit * 2 || packer.bytes >= answerBytesMax) return false;
      packer.key(key.toString('latin1', head.length));
      const sound = this.#record.read(value, 0, value.length, crc32(key, 0, key.length));
      if (this.#pack(packer, sound, now, asked.versionsOnly)) continue;
      this.suspects.add(key.readUInt16BE(0));
    }
    return true;
  }

  /** Names of the indexes that have an entry that can be read. */
  async indexes(): Promise<string[]> {
    const names = new Set<string>();
    let at = partitionStart(0);
    for (let steps = 1; ; steps++) {
      // Not the whole at one stretch: others wait.
      if (steps % pageEntries === 0) await this.#turn();
      this.checkOpen();
      const [first] = this.#parts.tables.entries.getRange({ start: at, end: endOfAll, limit: 1 });
      if (first === undefined) return [...names].sort();
      const { key } = first;
      const zero = key.indexOf(0, 2);
      const name = key.toString('utf8', 2, zero);
      if (!names.has(name) && this.#isLive(first)) names.add(name);
      // On to the next index of the partition; within one of which nothing was found yet, to the next key.
      at = names.has(name)
        ? afterPrefix(key.subarray(0, zero + 1))
        : Buffer.concat([key, Buffer.alloc(1)]);
    }
  }

  /** Records, tombstones among them, and the bytes that they take on the disk. */
  stats(): { readonly records: number; readonly bytes: number } {
    this.checkOpen();
    const { entries, due } = this.#parts.tables;
    const own = entries.getStats() as TableStats;
    return { records: own.entryCount, bytes: bytesOf(own) + bytesOf(due.getStats() as TableStats) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#warmUp.idle().then(this.#parts.close));
  }

  /** Packs the record that was read last. @returns whether it is sound */
  #pack(packer: Packer, sound: boolean, now: number, versionsOnly: boolean): boolean {
    if (sound) this.#record.pack(packer, now, versionsOnly);
    else {
      this.figures.damaged++;
      packer.finding('damaged');
    }
    return sound;
  }

  #isLive({ key, value }: { readonly key: Buffer; readonly value: Buffer }): boolean {
    const sound = this.#record.read(value, 0, value.length, crc32(key, 0, key.length));
    return sound && this.#record.isLive(this.#parts.clock.wallNow());
  }

  #checkQuota(): void {
    const { quotaBytes } = this.#parts;
    if (quotaBytes === undefined || this.stats().bytes < quotaBytes) return;
    const text = `the node's quota of ${quotaBytes} bytes is reached: delete what is not needed, or give it more`;
    throw new WaymarkError('storage_full', text, { limit: 'quotaBytes', max: quotaBytes });
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.nextTurn(resolve));
  }
}

function bytesOf(stats: TableStats): number {
  const { treeBranchPageCount, treeLeafPageCount, overflowPages, pageSize } = stats;
  return (treeBranchPageCount + treeLeafPageCount + overflowPages) * pageSize;
}
