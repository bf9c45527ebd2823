import { BlockCache } from './block-cache.js';
import { codes, ConnectionFault } from './codes.js';
import { type FieldEntry, fieldEntry, FieldBlock } from './field-block.js';
import { huffmanDecode } from 'waymark/etcd';
import { staticTable } from './static-table.js';

/** What SETTINGS_HEADER_TABLE_SIZE says when nobody says anything, as this side does. */
const tableBytesMax = 4_096;
/** So many entries of 32 bytes and more fit: a power of two. */
const ringSlots = tableBytesMax / 32;

const staticEntries: readonly FieldEntry[] = staticTable.map(([name, value]) =>
  fieldEntry(name, value),
);

/** Huffman-coded strings are written out here; grown to the longest. */
let scratch = Buffer.allocUnsafeSlow(4_096);

/**
 * Reads the blocks of field lines of one connection (RFC 7541). Blocks that repeat byte by byte are looked up and not read again, as
 * long as the dynamic table, which gives their bytes a meaning, is the same: a client that asks the same over and over sends nothing else.
 */
export class HpackDecoder {
  readonly #fieldBytesMax: number;
  /** The dynamic table as a ring: the newest entry is at `#newest`. */
  readonly #ring: FieldEntry[] = [];
  #newest = 0;
  #count = 0;
  #size = 0;
  #sizeMax = tableBytesMax;
  /** Grows with every change of the table. */
  #generation = 0;
  readonly #cache = new BlockCache();

  #bytes: Buffer = scratch;
  #at = 0;
  #end = 0;

  constructor(fieldBytesMax: number) {
    this.#fieldBytesMax = fieldBytesMax;
  }

  /** Bytes that the dynamic table holds, as section 4.1 counts. */
  get tableSize(): number {
    return this.#size;
  }

  /** @throws {ConnectionFault} COMPRESSION_ERROR */
  decode(bytes: Buffer, start: number, end: number): FieldBlock {
    const known = this.#cache.find(bytes, start, end, this.#generation);
    if (known !== null) return known;
    const generation = this.#generation;
    const block = new FieldBlock(this.#fieldBytesMax);
    this.read(bytes, start, end, block);
    if (generation === this.#generation) this.#cache.add(bytes, start, end, generation, block);
    return block;
  }

  /** Each field goes to `sink`, in order. @throws {ConnectionFault} COMPRESSION_ERROR */
  read(bytes: Buffer, start: number, end: number, sink: Pick<FieldBlock, 'add'>): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#resizes();
    while (this.#at < end) this.#line(sink);
    this.#bytes = scratch;
  }

  /** Section 4.2: changes of the size stand at the beginning of a block. */
  #resizes(): void {
    while (this.#at < this.#end && ((this.#bytes[this.#at] as number) & 0xe0) === 0x20) {
      const size = this.#integer(0x1f);
      if (size > tableBytesMax) throw fault('a table larger than was allowed');
      this.#sizeMax = size;
      this.#generation++;
      this.#evict(0);
    }
  }

  #line(sink: Pick<FieldBlock, 'add'>): void {
    const first = this.#bytes[this.#at] as number;
    if (first >= 0x80) sink.add(this.#entry(this.#integer(0x7f)));
    else if (first >= 0x40) {
      const entry = this.#literal(0x3f);
      this.#insert(entry);
      sink.add(entry);
    } else if (first >= 0x20) throw fault('a change of the table size after a field');
    else sink.add(this.#literal(0x0f));
  }

  #literal(mask: number): FieldEntry {
    const index = this.#integer(mask);
    const name = index === 0 ? this.#string() : this.#entry(index).field[0];
    return fieldEntry(name, this.#string());
  }

  #entry(index: number): FieldEntry {
    if (index <= staticEntries.length && index > 0) return staticEntries[index - 1] as FieldEntry;
    const back = index - staticEntries.length - 1;
    if (back < 0 || back >= this.#count) throw fault(`no entry ${index}`);
    return this.#ring[(this.#newest - back) & (ringSlots - 1)] as FieldEntry;
  }

  #insert(entry: FieldEntry): void {
    this.#generation++;
    this.#evict(entry.size);
    // Section 4.4: one larger than the table empties it, and is no error.
    if (entry.size > this.#sizeMax) return;
    this.#newest = (this.#newest + 1) & (ringSlots - 1);
    this.#ring[this.#newest] = entry;
    this.#count++;
    this.#size += entry.size;
  }

  /** Makes room for so many bytes. */
  #evict(room: number): void {
    while (this.#count > 0 && this.#size + room > this.#sizeMax) {
      const oldest = (this.#newest - this.#count + 1) & (ringSlots - 1);
      this.#size -= (this.#ring[oldest] as FieldEntry).size;
      this.#count--;
    }
  }

  /** Section 5.1. Four bytes after the first are more than any limit here needs. */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) throw fault('the block ends within a number');
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw fault('a number without end');
  }

  /** Section 5.2. */
  #string(): string {
    if (this.#at >= this.#end) throw fault('the block ends before a string');
    const coded = (this.#bytes[this.#at] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#at;
    if (length > this.#end - start) throw fault('the block ends within a string');
    this.#at = start + length;
    if (!coded) return this.#bytes.toString('latin1', start, this.#at);
    if (scratch.length < 2 * length) scratch = Buffer.allocUnsafeSlow(2 * length);
    const decoded = huffmanDecode(this.#bytes, start, this.#at, scratch);
    if (decoded < 0) throw fault('no Huffman code');
    return scratch.toString('latin1', 0, decoded);
  }
}

function fault(message: string): ConnectionFault {
  return new ConnectionFault(codes.compressionError, message);
}
