import type { Clock } from 'waymark/engine';
import type { Hash64 } from 'waymark/stash';
import { crc32 } from './crc32.js';
import { entryHash } from './digests.js';
import { partitionStart } from './disk-key.js';
import { aboutKey, type DueKind, dueRange } from './due.js';
import type { Snapshot } from './lmdb.js';
import { RecordReader } from './record.js';
import type { StoreFigures } from './store.js';
import type { Writes, WritesParts } from './writes.js';

export interface DiskEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Of a page, and of what is done without letting others have their turn. */
export const pageEntries = 500;

/** What is done with whole partitions, and in passing: a page at a time, so that who reads or writes meanwhile waits for no more than that. */
export class Partitions {
  readonly #parts: WritesParts & { readonly clock: Clock };
  readonly #writes: Writes;
  readonly #figures: StoreFigures;
  readonly #record = new RecordReader();

  constructor(
    parts: WritesParts & { readonly clock: Clock },
    writes: Writes,
    figures: StoreFigures,
  ) {
    this.#parts = parts;
    this.#writes = writes;
    this.#figures = figures;
  }

  /** Keys and records as they lie on disk, damaged ones too, of all indexes of a partition: 500 at most. */
  page(partition: number, after: Buffer | null, snapshot?: Snapshot): DiskEntry[] {
    return [
      ...this.#parts.tables.entries.getRange({
        start: after ?? partitionStart(partition),
        end: partitionStart(partition + 1),
        exclusiveStart: after !== null,
        limit: pageEntries,
        transaction: snapshot,
      }),
    ];
  }

  /** Deletes all of one. */
  async remove(partition: number): Promise<void> {
    for (;;) {
      const page = this.page(partition, null);
      if (page.length === 0) return;
      const written = this.#writes.begin(page.reduce((sum, { key }) => sum + key.length, 0));
      for (const { key } of page) {
        this.#parts.keys.take(key);
        written.remove(partition);
      }
      await written.done();
    }
  }

  /** Of what was acknowledged of a partition; worked out page by page where it is not known. */
  async digest(partition: number): Promise<Hash64> {
    const { digests, commits, tables } = this.#parts;
    const known = digests.get(partition);
    if (known !== null) return known;
    const snapshot = await new Promise<Snapshot>((resolve) =>
      commits.between(() => {
        digests.forget(partition);
        resolve(tables.entries.useReadTransaction());
      }),
    );
    try {
      for (let after: Buffer | null = null; ;) {
        const page: DiskEntry[] = this.page(partition, after, snapshot);
        for (const { key, value } of page) {
          if (!this.#record.read(value, crc32(key, 0, key.length))) continue;
          const { high, low } = entryHash(key, 0, key.length, this.#record);
          digests.toggle(partition, high, low);
        }
        if (page.length < pageEntries) return digests.complete(partition);
        after = page.at(-1)?.key ?? null;
        await this.#turn();
      }
    } finally {
      snapshot.done();
    }
  }

  /** Does what is due by now of one kind, a page of it. @returns whether there is more */
  async reap(kind: DueKind): Promise<boolean> {
    const { tables, keys, clock, commits } = this.#parts;
    const now = clock.wallNow();
    const range = { ...dueRange(kind, now), limit: pageEntries };
    const lines = [...tables.due.getRange(range)].map(({ key }) => key);
    if (lines.length === 0) return false;
    const written = this.#writes.begin(lines.length * diskRecordBytesMax);
    const group = commits.gather();
    for (const line of lines) {
      group.alongside.push(() => tables.due.remove(line));
      keys.take(aboutKey(line));
      const partition = keys.bytes.readUInt16BE(0);
      const current = this.#writes.stored();
      if (current === null) continue;
      const over = current.valueStart >= 0 && !current.isLive(now);
      if (kind === 'e' && over) written.bury(partition, current);
      else if (kind === 't' && current.valueStart < 0) written.remove(partition);
      else continue;
      this.#figures.reaped++;
    }
    await group.done;
    return lines.length === pageEntries;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.nextTurn(resolve));
  }
}

/** Of one key and its tombstone. */
const diskRecordBytesMax = 1_300;
