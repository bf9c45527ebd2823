import type { ByteString, Entry, LeaseId } from '../../core/engine.js';
import { assert } from '../../core/errors.js';

/**
 * Values on their way to PostgreSQL and back. Arrays carry whole groups in one parameter each, so that a statement is the same whatever
 * the size of the group: those of bytes in the binary format, as digits would be twice as long; the rest, and answers, as text.
 */

export type Row = readonly unknown[];

const oid = { bool: 16, bytea: 17, int8: 20, int2: 21, int4: 23 } as const;

export function toBuffer(bytes: ByteString): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** A parameter of type `bytea[]`: dimensions, whether there are nulls, type, length, first index, and each with its length before it. */
export function bytesArray(items: readonly (ByteString | null)[]): Buffer {
  let size = 20;
  for (const item of items) size += 4 + (item?.length ?? 0);
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const word of [1, 1, oid.bytea, items.length, 1]) at = buffer.writeInt32BE(word, at);
  for (const item of items) {
    at = buffer.writeInt32BE(item === null ? -1 : item.length, at);
    if (item !== null) at += buffer.write(item, at, 'latin1');
  }
  return buffer;
}

/** A parameter that is an array of numbers, booleans, or words without commas. */
export function plainArray(items: readonly (number | boolean | string | null)[]): string {
  return `{${items.map((item) => item ?? 'NULL').join(',')}}`;
}

/** How the driver reads columns: numbers as they are in ids of leases, bytes as byte strings, the rest as text. */
export const columnTypes = {
  getTypeParser(type: number): (text: string) => unknown {
    switch (type) {
      case oid.bytea:
        return readBytes;
      case oid.int8:
      case oid.int4:
      case oid.int2:
        return readNumber;
      case oid.bool:
        return (text) => text === 't';
      default:
        return (text) => text;
    }
  },
};

/** What is beyond a safe integer can only be the id of a lease, which then is these digits. */
function readNumber(text: string): LeaseId {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : (text as LeaseId);
}

function readBytes(text: string): ByteString {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex').toString('latin1');
  // The other format a server may be set to: printable ASCII as it is.
  return text.replace(/\\(\\|[0-7]{3})/g, (_, escaped: string) =>
    escaped === '\\' ? escaped : String.fromCharCode(Number.parseInt(escaped, 8)),
  );
}

/** Columns key, value, create_revision, mod_revision, version, lease, from `at` on. */
export function readEntry(row: Row, at: number): Entry {
  const [key, value, createRevision, modRevision, version, lease] = row.slice(at, at + 6) as [
    ByteString,
    ByteString,
    number,
    number,
    number,
    LeaseId,
  ];
  // K1; the other two are no greater.
  assert(typeof modRevision === 'number', 'revisions are safe integers');
  return { key, value, createRevision, modRevision, version, lease };
}
