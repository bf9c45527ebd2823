import type { Fields } from '../transport.js';
import { huffmanBytes, huffmanEncode } from 'waymark/etcd';
import { staticTable } from './static-table.js';

/**
 * Writes the field lines of answers (RFC 7541) without a dynamic table: a block then depends on its fields alone, so that one array of
 * fields is encoded once for all connections. The price is some bytes on the wire: names and values that are not in the static table.
 */
export class FieldsEncoder {
  readonly #known = new WeakMap<Fields, Uint8Array>();

  encode(fields: Fields): Uint8Array {
    const known = this.#known.get(fields);
    if (known !== undefined) return known;
    const block = Buffer.concat(fields.map(([name, value]) => line(name, value)));
    this.#known.set(fields, block);
    return block;
  }
}

/** Stands before the first block of a connection: the table is empty, and no change that the client makes to its size needs a word. */
export const noDynamicTable = Uint8Array.of(0x20);

const indexOfLine = new Map<string, number>();
const indexOfName = new Map<string, number>();
for (const [i, [name, value]] of staticTable.entries()) {
  if (value !== '') indexOfLine.set(`${name}\0${value}`, i + 1);
  if (!indexOfName.has(name)) indexOfName.set(name, i + 1);
}

function line(name: string, value: string): Buffer {
  const index = indexOfLine.get(`${name}\0${value}`);
  if (index !== undefined) return integer(index, 0x7f, 0x80);
  const nameIndex = indexOfName.get(name);
  return nameIndex === undefined
    ? Buffer.concat([Buffer.of(0), string(name), string(value)])
    : Buffer.concat([integer(nameIndex, 0x0f, 0), string(value)]);
}

function string(text: string): Buffer {
  const coded = huffmanBytes(text) < text.length;
  const bytes = coded ? huffmanEncode(text) : Buffer.from(text, 'latin1');
  return Buffer.concat([integer(bytes.length, 0x7f, coded ? 0x80 : 0), bytes]);
}

/** Section 5.1. @param mask  of the bits that the first byte leaves for the number */
function integer(value: number, mask: number, first: number): Buffer {
  if (value < mask) return Buffer.of(first | value);
  const bytes = [first | mask];
  let left = value - mask;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}
