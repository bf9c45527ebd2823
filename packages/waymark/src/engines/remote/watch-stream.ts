import type { Batch, Revision } from '../../core/engine.js';

/** A stream keeps so much for those who lag; a single longer batch is kept whole. */
const ringChangesMax = 256;
const ringBytesMax = 262_144;

export interface StreamReader {
  readonly cursor: number;
  wake(): void;
  detached(): void;
}

/** One watch on the wire and the last of what it brought. */
export class WatchStream {
  /** The last revision that was delivered whole, or the one it began after. */
  last: Revision | undefined;
  failure: { readonly error: unknown } | null = null;
  onEmpty: (() => void) | null = null;
  readonly #alone: () => boolean;
  readonly #readers = new Set<StreamReader>();
  #ring: Batch[] = [];
  /** The index of the ring's first batch, counted from the stream's beginning. */
  #first = 0;
  /** Everything after this revision is in the ring. */
  #floor: Revision | undefined;
  #changes = 0;
  #bytes = 0;

  constructor(after: Revision | undefined, alone: () => boolean) {
    this.last = after;
    this.#floor = after;
    this.#alone = alone;
  }

  push(batch: Batch): void {
    this.#ring.push(batch);
    this.#changes += batch.changes.length + 1;
    this.#bytes += bytesOf(batch);
    this.last = batch.revision;
    this.#floor ??= batch.revision;
    for (const reader of this.#readers) reader.wake();
    while (this.#ring.length > 1 && this.#isFull()) this.#evict();
  }

  fail(error: unknown): void {
    this.failure = { error };
    for (const reader of this.#readers) reader.wake();
  }

  /** Whether nothing after `position` is missing here; one not proven must lie within what was seen. */
  reaches(position: Revision, proven: boolean): boolean {
    if (this.failure !== null || this.#floor === undefined || this.last === undefined) return false;
    return this.#floor <= position && (proven || position <= this.last);
  }

  indexAfter(position: Revision | undefined): number {
    let index = 0;
    while (index < this.#ring.length) {
      if (position === undefined || (this.#ring[index] as Batch).revision > position) break;
      index++;
    }
    return this.#first + index;
  }

  at(index: number): Batch | undefined {
    return this.#ring[index - this.#first];
  }

  /** Something was read. With one reader and nobody who may come back, what it has read is needed by none. */
  read(): void {
    if (!this.#alone() || this.#readers.size !== 1) return;
    for (const reader of this.#readers) {
      while (this.#ring.length > 0 && reader.cursor > this.#first) this.#shift();
    }
  }

  add(reader: StreamReader): void {
    this.#readers.add(reader);
  }

  remove(reader: StreamReader): void {
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return;
    this.#ring = [];
    if (this.failure === null) this.onEmpty?.();
  }

  #isFull(): boolean {
    return this.#changes > ringChangesMax || this.#bytes > ringBytesMax;
  }

  #evict(): void {
    this.#shift();
    for (const reader of this.#readers) {
      if (reader.cursor >= this.#first) continue;
      reader.detached();
      this.remove(reader);
    }
  }

  #shift(): void {
    const batch = this.#ring.shift();
    if (batch === undefined) return;
    this.#first++;
    this.#floor = batch.revision;
    this.#changes -= batch.changes.length + 1;
    this.#bytes -= bytesOf(batch);
  }
}

function bytesOf(batch: Batch): number {
  let bytes = 64;
  for (const { entry, previous } of batch.changes) {
    bytes += entry.key.length + entry.value.length + (previous?.value.length ?? 0) + 64;
  }
  return bytes;
}
