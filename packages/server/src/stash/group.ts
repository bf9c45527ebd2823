import { partitionCount } from 'waymark/stash';
import type { WaymarkError } from 'waymark/engine';
import type { RecordReader } from './record.js';

/** Of a row: which block, where in it the key begins and ends, where the record behind it ends (nothing behind it: remove), the key's hash. */
const width = 5;
/** Of a change to a digest: which partition, and what its two halves are toggled by. */
const toggleWidth = 3;
const rowsMin = 32;
/** Fewer are written in the order in which they came. */
const sortedMin = 128;

/**
 * What is committed together. Writes lie in columns, not in objects: some ten thousand outlive a few collections of garbage each time, and there is a string, a closure and an entry of
 * a map less for each.
 */
export class Group {
  /** Changes of other tables. */
  readonly alongside: (() => void)[] = [];
  /** Partitions of which nobody knows any more what their digest is. */
  readonly doubtful: number[] = [];
  /** Of keys and records together. */
  bytes = 0;
  /** Resolves when all is on the disk. @throws {WaymarkError} `storage_full`, `unavailable`, `uncertain` */
  readonly done: Promise<void>;
  readonly #blocks: Buffer[] = [];
  #rows = new Int32Array(rowsMin * width);
  #count = 0;
  /** By the key's hash: the row of its last write, counted from 1. At most half of it is taken. */
  #slots = new Int32Array(rowsMin * 2);
  #toggles = new Int32Array(rowsMin * toggleWidth);
  #toggleCount = 0;
  #order: Int32Array | null = null;
  #settle: (error?: WaymarkError) => void = () => undefined;

  constructor() {
    this.done = new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Who gathered waits for it, unless what he gathered was nothing.
    this.done.catch(() => undefined);
  }

  get puts(): number {
    return this.#count;
  }

  settle(error?: WaymarkError): void {
    this.#settle(error);
  }

  /** Key and record lie in one block, one behind the other. @param hash  of the key, 32 bits */
  put(block: Buffer, keyStart: number, keyEnd: number, end: number, hash: number): void {
    const blocks = this.#blocks;
    if (blocks.at(-1) !== block) blocks.push(block);
    const row = this.#count++;
    if ((row + 1) * width > this.#rows.length) this.#grow();
    const rows = this.#rows;
    const at = row * width;
    rows[at] = blocks.length - 1;
    rows[at + 1] = keyStart;
    rows[at + 2] = keyEnd;
    rows[at + 3] = end;
    rows[at + 4] = hash;
    const slot = this.#slotOf(block, keyStart, keyEnd, hash | 0);
    this.#slots[slot] = row + 1;
  }

  /** What the digest of a partition is changed by, once all is on the disk. */
  toggle(partition: number, high: number, low: number): void {
    const at = this.#toggleCount++ * toggleWidth;
    if (at === this.#toggles.length) this.#toggles = doubled(this.#toggles);
    const toggles = this.#toggles;
    toggles[at] = partition;
    toggles[at + 1] = high;
    toggles[at + 2] = low;
  }

  eachToggle(visit: (partition: number, high: number, low: number) => void): void {
    const toggles = this.#toggles;
    const end = this.#toggleCount * toggleWidth;
    for (let at = 0; at < end; at += toggleWidth) {
      visit(toggles[at] as number, toggles[at + 1] as number, toggles[at + 2] as number);
    }
  }

  /** What is to be written of a key: its record, unchecked, or that it is to be removed. Null: it is not in here. */
  find(
    key: Buffer,
    keyBytes: number,
    hash: number,
    record: RecordReader,
  ): 'record' | 'nothing' | null {
    if (this.#count === 0) return null;
    const row = (this.#slots[this.#slotOf(key, 0, keyBytes, hash | 0)] as number) - 1;
    if (row < 0) return null;
    const at = row * width;
    const rows = this.#rows;
    const [keyEnd, end] = [rows[at + 2] as number, rows[at + 3] as number];
    if (keyEnd === end) return 'nothing';
    record.take(this.#blocks[rows[at] as number] as Buffer, keyEnd, end);
    return 'record';
  }

  /**
   * Cuts what was gathered into slices of about so many bytes, by partition: a page of the tree is changed in one of them alone. Nothing is put from then on.
   *
   * @returns where they end, as positions for `eachPut`: at least one
   */
  slices(bytesMax: number): number[] {
    this.#order = this.#sorted();
    const ends: number[] = [];
    let bytes = 0;
    for (let i = 0; i < this.#count; i++) {
      const at = this.#rowAt(i);
      if (bytes >= bytesMax) {
        ends.push(i);
        bytes = 0;
      }
      bytes += (this.#rows[at + 3] as number) - (this.#rows[at + 1] as number);
    }
    return [...ends, this.#count];
  }

  /** Writes by partition, those of one in the order they came: so a page of the tree is changed by one after the other, and looked for once. */
  eachPut(
    from: number,
    to: number,
    visit: (block: Buffer, keyStart: number, keyEnd: number, end: number) => void,
  ): void {
    const rows = this.#rows;
    for (let i = from; i < to; i++) {
      const at = this.#rowAt(i);
      const block = this.#blocks[rows[at] as number] as Buffer;
      visit(block, rows[at + 1] as number, rows[at + 2] as number, rows[at + 3] as number);
    }
  }

  #rowAt(position: number): number {
    return (this.#order === null ? position : (this.#order[position] as number)) * width;
  }

  /** By counting: a key on disk begins with its partition. Null: as they came. */
  #sorted(): Int32Array | null {
    const count = this.#count;
    if (count < sortedMin) return null;
    const next = new Int32Array(partitionCount + 1);
    const partitions = new Uint16Array(count);
    for (let row = 0; row < count; row++) {
      const partition = this.#partitionOf(row);
      partitions[row] = partition;
      next[partition + 1] = (next[partition + 1] as number) + 1;
    }
    for (let i = 1; i < partitionCount; i++)
      next[i] = (next[i] as number) + (next[i - 1] as number);
    const order = new Int32Array(count);
    for (let row = 0; row < count; row++) {
      const partition = partitions[row] as number;
      const place = next[partition] as number;
      next[partition] = place + 1;
      order[place] = row;
    }
    return order;
  }

  #partitionOf(row: number): number {
    const at = row * width;
    const block = this.#blocks[this.#rows[at] as number] as Buffer;
    const keyStart = this.#rows[at + 1] as number;
    return ((block[keyStart] as number) << 8) | (block[keyStart + 1] as number);
  }

  /** The slot that has the key, or the free one that it would have. */
  #slotOf(key: Buffer, keyStart: number, keyEnd: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = spread(hash) & mask; ; slot = (slot + 1) & mask) {
      const row = (slots[slot] as number) - 1;
      if (row < 0 || this.#isOf(row, key, keyStart, keyEnd, hash)) return slot;
    }
  }

  #isOf(row: number, key: Buffer, keyStart: number, keyEnd: number, hash: number): boolean {
    const at = row * width;
    const rows = this.#rows;
    if (rows[at + 4] !== hash) return false;
    const start = rows[at + 1] as number;
    const length = keyEnd - keyStart;
    if ((rows[at + 2] as number) - start !== length) return false;
    const block = this.#blocks[rows[at] as number] as Buffer;
    for (let i = 0; i < length; i++) if (block[start + i] !== key[keyStart + i]) return false;
    return true;
  }

  #grow(): void {
    this.#rows = doubled(this.#rows);
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (const taken of this.#slots) {
      if (taken === 0) continue;
      let slot = spread(this.#rows[(taken - 1) * width + 4] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = taken;
    }
    this.#slots = slots;
  }
}

/** The lowest bits of FNV are the weakest. */
function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}

function doubled(cells: Int32Array): Int32Array<ArrayBuffer> {
  const more = new Int32Array(cells.length * 2);
  more.set(cells);
  return more;
}
