import { WaymarkError } from 'waymark/engine';
import { answerBytesMax, type Hash64, type NodePage, PackedCursor, Packer } from 'waymark/stash';
import { crc32 } from './crc32.js';
import { entryHash } from './digests.js';
import { partitionStart } from './disk-key.js';
import type { PartitionFloor } from './floors.js';
import { RecordSource, type Snapshot } from './lmdb.js';
import { fullKeyBytesMax, measureEntries, measureKey } from './part-limits.js';
import { RecordReader } from './record.js';
import type { StashStore, StoreParts } from './store.js';
import type { Writes } from './writes.js';

interface DiskEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** What is done without letting others have their turn: so many entries, or so many bytes of them. */
const pageEntries = 500;
const pageBytesMax = 4_194_304;
const noIndex = Buffer.alloc(0);

/**
 * The entries of a store by partition, all indexes together: what replicas compare, repair and move. Keys are those on disk without the partition: the index's name, a zero byte,
 * the key.
 */
export class Partitions {
  readonly #parts: StoreParts;
  readonly #writes: Writes;
  readonly #store: Pick<StashStore, 'checkOpen' | 'admit' | 'figures' | 'suspects'>;
  readonly #record = new RecordReader();
  readonly #source = new RecordSource();
  readonly #counting = new Map<number, Promise<Hash64>>();

  constructor(parts: StoreParts, writes: Writes, store: StashStore) {
    this.#parts = parts;
    this.#writes = writes;
    this.#store = store;
  }

  sealed(partition: number): number {
    return this.#parts.floors.sealed(partition);
  }

  purged(partition: number): number {
    return this.#parts.floors.purged(partition);
  }

  /** Keys with their versions, values as empty ones. @param after  only keys behind this one; empty: all */
  versions(partition: number, after: Uint8Array): NodePage {
    this.#store.checkOpen();
    const packer = new Packer();
    const behind = after.length === 0 ? null : Buffer.concat([partitionStart(partition), after]);
    const now = this.#parts.clock.wallNow();
    const { entries, more } = this.page(partition, behind);
    for (const { key, value } of entries) {
      packer.key(key.toString('latin1', 2));
      this.#pack(packer, this.#isSound(key, value), now, true);
    }
    return { entries: packer.take(), more };
  }

  /** @returns packed findings of packed keys: one for each, or for the first of them alone, at least one */
  fetch(partition: number, keys: Uint8Array): Uint8Array {
    this.#store.checkOpen();
    const { tables, keys: disk, clock } = this.#parts;
    const now = clock.wallNow();
    const asked = new PackedCursor(keys);
    const packer = new Packer();
    while (!asked.done && packer.bytes < answerBytesMax) {
      asked.nextKey();
      const { block, keyStart, keyEnd } = asked;
      measureKey(packer.count, keyEnd - keyStart, fullKeyBytesMax);
      disk.compose(partition, noIndex, block, keyStart, keyEnd);
      const source = this.#source;
      if (!source.read(tables.entries, disk)) packer.finding(null);
      else {
        const crc = crc32(disk.bytes, 0, disk.length);
        this.#pack(packer, this.#record.read(source.block, 0, source.length, crc), now, false);
      }
    }
    return packer.take();
  }

  /**
   * Puts what another replica holds where it is newer, sealed or not; what is stamped too far ahead is left out (rule D2.3). Resolves when it is on the disk.
   *
   * @throws {WaymarkError} otherwise as `StashStore.write`
   */
  async mend(partition: number, entries: Uint8Array): Promise<void> {
    this.#store.checkOpen();
    const { room, keys, stamps } = this.#parts;
    if (!room.writable) await room.check();
    const part = measureEntries(entries, null);
    this.#store.admit(part);
    const written = this.#writes.begin(part.diskBytes);
    const cursor = new PackedCursor(entries);
    while (!cursor.done) {
      cursor.nextKey();
      const { block, keyStart, keyEnd } = cursor;
      const zero = block.indexOf(0, keyStart);
      if (zero <= keyStart || zero >= keyEnd - 1) throw notFull();
      keys.compose(partition, noIndex, block, keyStart, keyEnd);
      cursor.nextVersion();
      if (stamps.admits(cursor.stamp)) written.put(partition, cursor, cursor, 0);
    }
    await written.done();
  }

  /** Takes no writes of coordinators up to this stamp any more. Resolves when that, and all that was taken before, is on disk. */
  async seal(partition: number, upTo: number): Promise<void> {
    await this.#write(this.#parts.floors.raise(partition, { sealed: upTo }));
  }

  /** Deletes tombstones up to a stamp, page by page. @throws {WaymarkError} `conflict` where it is not sealed so far */
  async purge(partition: number, upTo: number): Promise<void> {
    const { floors, clock } = this.#parts;
    if (floors.sealed(partition) < upTo) throw notSealed(partition);
    // First of all: from here on no replica brings back what goes.
    await this.#write(floors.raise(partition, { purged: upTo }));
    for (let after: Buffer | null = null; ; await this.#turn()) {
      const { entries, more } = this.page(partition, after);
      after = entries.at(-1)?.key ?? after;
      const over = entries.filter(({ key, value }) => this.#isOver(key, value, upTo));
      this.#store.figures.reaped += await this.#writes.discard(over, () => {
        const current = this.#writes.stored();
        return current !== null && current.stamp <= upTo && !current.isLive(clock.wallNow());
      });
      if (!more) return;
    }
  }

  /** Deletes what a node that is filled held before, where it is not newer than this. */
  async discard(partition: number, keys: readonly string[], upTo: number): Promise<void> {
    await this.#writes.discard(onDisk(partition, keys), () => {
      const current = this.#writes.stored();
      return current !== null && current.stamp <= upTo;
    });
  }

  /** Deletes those that are damaged: no other replica has anything of them, so they were tombstones that could not be read when they were to go, or nobody was ever told of them. */
  async giveUp(partition: number, keys: readonly string[]): Promise<void> {
    await this.#writes.discard(onDisk(partition, keys), () => this.#writes.isDamaged());
  }

  /** Resolves when all that was taken before is on disk. */
  async barrier(): Promise<void> {
    await this.#parts.commits.gather().done;
  }

  /** Resolves when it is on disk, with all that was taken before. */
  async #write(...changes: readonly (() => void)[]): Promise<void> {
    const group = this.#parts.commits.gather();
    group.alongside.push(...changes);
    await group.done;
  }

  /** Of partitions that are filled from others: what is gone there, and refused, is gone and refused here. */
  async adopt(told: readonly PartitionFloor[]): Promise<void> {
    const changes = this.#parts.floors.raiseAll(told);
    if (changes.length > 0) await this.#write(...changes);
  }

  /** Deletes all of a partition page by page: who reads or writes meanwhile waits for no more than that. */
  async remove(partition: number): Promise<void> {
    for (;;) {
      const { entries } = this.page(partition, null);
      if (entries.length === 0) return;
      await this.#writes.discard(entries, () => true);
    }
  }

  /** Deletes all of a partition that is kept no more, and what there was to know about it. */
  async drop(partition: number): Promise<void> {
    const { floors } = this.#parts;
    await this.remove(partition);
    if (floors.sealed(partition) === 0) return;
    await this.#write(floors.clear(partition));
  }

  /** Null where it is not known yet. */
  knownDigest(partition: number): Hash64 | null {
    return this.#parts.digests.get(partition);
  }

  /** Of what was acknowledged of a partition; worked out page by page where it is not known. */
  async digest(partition: number): Promise<Hash64> {
    const known = this.knownDigest(partition) ?? this.#counting.get(partition);
    if (known !== undefined) return await known;
    const counting = this.#count(partition);
    this.#counting.set(partition, counting);
    try {
      return await counting;
    } finally {
      this.#counting.delete(partition);
    }
  }

  async #count(partition: number): Promise<Hash64> {
    const { digests } = this.#parts;
    const snapshot = await this.atRest((taken) => (digests.forget(partition), taken));
    for await (const entries of this.pages(partition, snapshot)) {
      for (const { key, value } of entries) {
        if (!this.#isSound(key, value)) continue;
        const { high, low } = entryHash(key, 0, key.length, this.#record);
        digests.toggle(partition, high, low);
      }
    }
    return digests.complete(partition);
  }

  /** What is told is not what is there: it is worked out anew. */
  doubt(partition: number): void {
    this.#parts.digests.doubt(partition);
  }

  /** With a snapshot of a moment at which nothing is being committed. */
  atRest<T>(task: (snapshot: Snapshot) => T): Promise<T> {
    const { commits, tables } = this.#parts;
    return new Promise((resolve) =>
      commits.between(() => resolve(task(tables.entries.useReadTransaction()))),
    );
  }

  /** Page by page, and the snapshot is given back: who reads or writes meanwhile waits for no more than one. */
  async *pages(partition: number, snapshot: Snapshot): AsyncGenerator<readonly DiskEntry[]> {
    try {
      for (let after: Buffer | null = null; ; await this.#turn()) {
        const { entries, more } = this.page(partition, after, snapshot);
        yield entries;
        if (!more) return;
        after = entries.at(-1)?.key ?? null;
      }
    } finally {
      snapshot.done();
    }
  }

  /** Keys and records as they lie on disk, damaged ones too. */
  page(
    partition: number,
    after: Buffer | null,
    snapshot?: Snapshot,
  ): { readonly entries: DiskEntry[]; readonly more: boolean } {
    this.#store.checkOpen();
    const entries: DiskEntry[] = [];
    let bytes = 0;
    for (const entry of this.#parts.tables.entries.getRange({
      start: after ?? partitionStart(partition),
      end: partitionStart(partition + 1),
      exclusiveStart: after !== null,
      transaction: snapshot,
    })) {
      if (entries.length >= pageEntries || bytes >= pageBytesMax) return { entries, more: true };
      entries.push(entry);
      bytes += entry.value.length;
    }
    return { entries, more: false };
  }

  #isSound(key: Buffer, value: Buffer): boolean {
    return this.#record.read(value, 0, value.length, crc32(key, 0, key.length));
  }

  /** What cannot be read may be over as well: other replicas are asked. */
  #isOver(key: Buffer, value: Buffer, upTo: number): boolean {
    const now = this.#parts.clock.wallNow();
    if (this.#isSound(key, value)) return this.#record.stamp <= upTo && !this.#record.isLive(now);
    this.#store.suspects.add(key.readUInt16BE(0));
    return false;
  }

  /** The record that was read last. */
  #pack(packer: Packer, sound: boolean, now: number, versionsOnly: boolean): void {
    if (sound) this.#record.pack(packer, now, versionsOnly);
    else packer.finding('damaged');
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.nextTurn(resolve));
  }
}

function onDisk(partition: number, keys: readonly string[]): { readonly key: Buffer }[] {
  const start = partitionStart(partition);
  return keys.map((key) => ({ key: Buffer.concat([start, Buffer.from(key, 'latin1')]) }));
}

function notFull(): WaymarkError {
  return new WaymarkError('invalid', 'a full key is the name of an index, a zero byte and a key');
}

function notSealed(partition: number): WaymarkError {
  const why = `partition ${partition} took writes of which the tombstones that are to go know nothing: build the node anew`;
  return new WaymarkError('conflict', why);
}
