import type { ByteString, Entry } from '../../core/engine.js';
import { assert } from '../../core/errors.js';

/**
 * Values on their way to PostgreSQL and back, in its text format: bytes in hexadecimal, numbers as digits. Arrays carry whole groups in
 * one parameter each, so that a statement is the same whatever the size of the group.
 */

export type Row = readonly unknown[];

export function toBuffer(bytes: ByteString): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** A parameter of type `bytea[]`. */
export function bytesArray(items: readonly ByteString[]): string {
  return `{${items.map((item) => `"\\\\x${Buffer.from(item, 'latin1').toString('hex')}"`).join(',')}}`;
}

/** A parameter that is an array of numbers, booleans, or words without commas. */
export function plainArray(items: readonly (number | boolean | string | null)[]): string {
  return `{${items.map((item) => item ?? 'NULL').join(',')}}`;
}

const oid = { bool: 16, bytea: 17, int8: 20, int2: 21, int4: 23 } as const;

/** How the driver reads columns: numbers as safe integers, bytes as byte strings, the rest as text. */
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

function readNumber(text: string): number {
  const number = Number(text);
  assert(Number.isSafeInteger(number), 'PostgreSQL holds safe integers');
  return number;
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
    number,
  ];
  return { key, value, createRevision, modRevision, version, lease };
}
