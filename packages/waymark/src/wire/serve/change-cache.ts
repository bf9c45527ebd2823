import type { Batch, Change } from '../../core/engine.js';
import type { Clock } from '../../core/clock.js';
import { writeChange } from '../batch-codec.js';
import type { Writer } from '../writer.js';

const size = 256;
/** Copying is what a longer one costs, encoded or not. */
const bytesMax = 16_384;

/**
 * Where the bytes of this turn's changes lie. An engine hands the same Change object to every watch that asked for the same, so a
 * change is encoded once and copied for all other watchers, on this connection and the others. Bytes that a writer
 * gave away are never written again, so pointing into them is safe; the turn's end forgets them, so nothing is kept for it.
 */
export class ChangeCache {
  readonly #clock: Clock;
  readonly #changes = new Array<Change | undefined>(size).fill(undefined);
  readonly #sources = new Array<Buffer | undefined>(size).fill(undefined);
  readonly #starts = new Uint32Array(size);
  readonly #ends = new Uint32Array(size);
  /** The slots in use. */
  readonly #used: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  writeBatch(writer: Writer, batch: Batch): void {
    writer.uint(batch.revision);
    writer.uint(batch.changes.length);
    for (const change of batch.changes) this.#write(writer, change);
  }

  #write(writer: Writer, change: Change): void {
    const { modRevision, key } = change.entry;
    const end = key.length;
    // Keys of one revision mostly differ in their last digits.
    const digits =
      key.charCodeAt(end - 1) + 10 * key.charCodeAt(end - 2) + 100 * key.charCodeAt(end - 3);
    const slot = (modRevision + digits) & (size - 1);
    const source = this.#sources[slot];
    if (this.#changes[slot] === change && source !== undefined) {
      return writer.raw(source, this.#starts[slot] as number, this.#ends[slot] as number);
    }
    const start = writer.position;
    const before = writer.buffer;
    writeChange(writer, change);
    // A slab that had to grow was copied to a new one, at other positions.
    if (writer.buffer !== before || writer.position - start > bytesMax) return;
    const unused = this.#changes[slot] === undefined;
    this.#changes[slot] = change;
    this.#sources[slot] = before;
    this.#starts[slot] = start;
    this.#ends[slot] = writer.position;
    if (unused && this.#used.push(slot) === 1) this.#clock.nextTurn(this.#forget);
  }

  readonly #forget = (): void => {
    for (const slot of this.#used) {
      this.#changes[slot] = undefined;
      this.#sources[slot] = undefined;
    }
    this.#used.length = 0;
  };
}
