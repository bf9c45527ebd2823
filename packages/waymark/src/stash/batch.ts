import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import type { KeyHash } from './hash.js';
import { partKeysMax } from './node.js';
import { PackedCursor, Packer } from './packed.js';
import type { Routes } from './routes.js';

/** A packed batch that was looked through once: where each item lies, and which partition its key falls into. */
export class Batch {
  readonly block: Buffer;
  readonly count: number;
  /** Where item i begins; the next one begins where it ends. */
  readonly starts: Int32Array;
  /** Where the key of item i ends: of an entry, its version begins there. */
  readonly keyEnds: Int32Array;
  /** All 0 until it is placed. */
  readonly partitions: Uint16Array;

  /**
   * @param each  called with the cursor behind each key: reads on where more belongs to an item
   * @throws {WaymarkError} `invalid`, `too_large`
   */
  constructor(packed: Uint8Array, each?: (cursor: PackedCursor) => void) {
    const cursor = new PackedCursor(packed);
    const room = Math.min(partKeysMax, packed.length >> 1);
    const starts = new Int32Array(room + 1);
    const keyEnds = new Int32Array(room);
    let count = 0;
    for (; !cursor.done; count++) {
      if (count === partKeysMax) throw tooMany();
      cursor.nextKey();
      checkKeyBytes(cursor.keyEnd - cursor.keyStart);
      starts[count] = cursor.start;
      keyEnds[count] = cursor.keyEnd;
      each?.(cursor);
      starts[count + 1] = cursor.end;
    }
    this.block = cursor.block;
    this.count = count;
    this.starts = starts;
    this.keyEnds = keyEnds;
    this.partitions = new Uint16Array(room);
  }

  /**
   * Finds the partitions. Where every node keeps everything keys need none: one order of nodes holds for all, another one each time.
   */
  place(routes: Pick<Routes, 'everywhere' | 'turn'>, hash: KeyHash): this {
    const { block, starts, keyEnds, partitions } = this;
    if (routes.everywhere) {
      partitions.fill(routes.turn());
      return this;
    }
    for (let i = 0; i < this.count; i++) {
      const start = starts[i] as number;
      // The key's length lies before it, in two bytes from 128 on.
      const lengthBytes = (block[start] as number) < 0x80 ? 1 : 2;
      partitions[i] = hash.partitionAt(block, start + lengthBytes, keyEnds[i] as number);
    }
    return this;
  }

  /** All places. */
  get all(): Uint16Array {
    return everyPlace.subarray(0, this.count);
  }

  /** The items at these places as one block: the batch's own where it is all of them. */
  blockOf(places: ArrayLike<number>): Uint8Array {
    const { block, starts, count } = this;
    if (places.length === count) return block;
    const packer = new Packer();
    for (let i = 0; i < places.length; i++) {
      const place = places[i] as number;
      packer.copy(block, starts[place] as number, starts[place + 1] as number);
    }
    return packer.take();
  }
}

const everyPlace = Uint16Array.from({ length: partKeysMax }, (_, place) => place);

/** @throws {WaymarkError} `invalid` for an empty key, `too_large` for a long one */
export function checkKeyBytes(length: number): void {
  if (length === 0) throw new WaymarkError('invalid', 'a key of the stash has at least one byte');
  if (length <= limits.stashKeyBytesMax) return;
  const max = limits.stashKeyBytesMax;
  const facts = { limit: 'stashKeyBytesMax', max, actual: length };
  throw new WaymarkError('too_large', `a key of ${length} bytes: at most ${max}`, facts);
}

/** @throws {WaymarkError} `too_large` */
export function checkValueBytes(length: number): void {
  const max = limits.valueBytesMax;
  if (length <= max) return;
  const facts = { limit: 'valueBytesMax', max, actual: length };
  throw new WaymarkError('too_large', `a value of ${length} bytes: at most ${max}`, facts);
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function checkIndexName(name: string): void {
  const bytes = typeof name === 'string' ? Buffer.byteLength(name) : 0;
  // eslint-disable-next-line no-control-regex -- names are shown, and NUL ends them where keys are hashed
  if (bytes === 0 || /[\0-\x1f\x7f]|\p{Surrogate}/u.test(name)) {
    throw new WaymarkError('invalid', 'an index has a name, without control characters');
  }
  const max = limits.stashIndexBytesMax;
  if (bytes <= max) return;
  const facts = { limit: 'stashIndexBytesMax', max, actual: bytes };
  throw new WaymarkError('too_large', `a name of ${bytes} bytes: at most ${max}`, facts);
}

function tooMany(): WaymarkError {
  const facts = { limit: 'partKeysMax', max: partKeysMax };
  return new WaymarkError('too_large', `a batch has at most ${partKeysMax} keys`, facts);
}
