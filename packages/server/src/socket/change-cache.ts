import type { Batch, Change } from 'waymark/engine';
import { writeChange, type Writer } from 'waymark/wire';

const size = 1_024;

/**
 * Where the bytes of recent changes lie. An engine hands the same Change object to every watch that asked for the same, so a
 * change is encoded once and copied for all other watchers, on this connection and the others. Bytes that a writer
 * gave away are never written again, so pointing into them is safe; what is pointed at is kept until its slot is taken.
 */
export class ChangeCache {
  readonly #changes: (Change | undefined)[] = new Array<Change | undefined>(size);
  readonly #sources: (Buffer | undefined)[] = new Array<Buffer | undefined>(size);
  readonly #starts = new Uint32Array(size);
  readonly #ends = new Uint32Array(size);

  writeBatch(writer: Writer, batch: Batch): void {
    writer.uint(batch.revision);
    writer.uint(batch.changes.length);
    for (const change of batch.changes) this.#write(writer, change);
  }

  #write(writer: Writer, change: Change): void {
    const { modRevision, key } = change.entry;
    const slot = (modRevision * 31 + key.length + key.charCodeAt(key.length - 1)) & (size - 1);
    const source = this.#sources[slot];
    if (this.#changes[slot] === change && source !== undefined) {
      return writer.raw(source, this.#starts[slot] as number, this.#ends[slot] as number);
    }
    const mark = writer.position;
    const before = writer.buffer;
    writeChange(writer, change);
    // A slab that had to grow was copied to a new one, at other positions.
    if (writer.buffer !== before) return;
    this.#changes[slot] = change;
    this.#sources[slot] = writer.buffer;
    this.#starts[slot] = mark;
    this.#ends[slot] = writer.position;
  }
}
