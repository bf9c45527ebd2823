import type { ByteString, Entry, KeyRange, OrderBy, Query, Reading } from '../core/engine.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

/** How ranges, queries, entries and readings lie on the wire. Numbers in these lists are their positions: append only. */

const orders: readonly OrderBy[] = ['key', 'create', 'mod', 'version', 'value'];

/** The flag of a range with an end. */
export const hasEnd = 1;

export function writeRange(w: Writer, range: KeyRange): void {
  w.byte(range.end === undefined ? 0 : hasEnd);
  w.bytes(range.key);
  if (range.end !== undefined) w.bytes(range.end);
}

export function readRange(r: Reader): KeyRange {
  const flags = r.byte();
  const key = r.bytes();
  return (flags & hasEnd) === 0 ? { key } : { key, end: r.bytes() };
}

export function writeRanges(w: Writer, ranges: readonly KeyRange[]): void {
  w.uint(ranges.length);
  for (const range of ranges) writeRange(w, range);
}

export function readRanges(r: Reader): KeyRange[] {
  return readList(r, 2, readRange);
}

const numbers = [
  'at',
  'limit',
  'minModRevision',
  'maxModRevision',
  'minCreateRevision',
  'maxCreateRevision',
] as const;
/** After `hasEnd` and one bit for each number. */
const descending = 1 << 7;
const keysOnly = 1 << 8;
const countOnly = 1 << 9;
const uncounted = 1 << 10;
const ordered = 1 << 11;

export function writeQuery(w: Writer, query: Query): void {
  let flags = query.end === undefined ? 0 : hasEnd;
  const values = valuesOf(query);
  for (let i = 0; i < values.length; i++) if (values[i] !== undefined) flags |= 2 << i;
  if (query.descending === true) flags |= descending;
  if (query.keysOnly === true) flags |= keysOnly;
  if (query.countOnly === true) flags |= countOnly;
  if (query.uncounted === true) flags |= uncounted;
  if (query.orderBy !== undefined) flags |= ordered;
  w.uint(flags);
  w.bytes(query.key);
  if (query.end !== undefined) w.bytes(query.end);
  for (const value of values) if (value !== undefined) w.uint(value);
  if (query.orderBy !== undefined) w.byte(orders.indexOf(query.orderBy));
}

/** Those of `numbers`, each by its own name: looked up by a variable's they cost a get a tenth. */
function valuesOf(query: Query): (number | undefined)[] {
  const { at, limit, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = query;
  return [at, limit, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision];
}

export function readQuery(r: Reader): Query {
  const flags = r.uint();
  const key = r.bytes();
  if (flags === 0) return { key };
  const query: { -readonly [K in keyof Query]: Query[K] } = { key };
  if ((flags & hasEnd) !== 0) query.end = r.bytes();
  for (let i = 0; i < numbers.length; i++) {
    if ((flags & (2 << i)) !== 0) query[numbers[i] as (typeof numbers)[number]] = r.uint();
  }
  if ((flags & descending) !== 0) query.descending = true;
  if ((flags & keysOnly) !== 0) query.keysOnly = true;
  if ((flags & countOnly) !== 0) query.countOnly = true;
  if ((flags & uncounted) !== 0) query.uncounted = true;
  if ((flags & ordered) !== 0) query.orderBy = pick(orders, r.byte());
  return query;
}

export function writeEntry(w: Writer, entry: Entry): void {
  w.bytes(entry.key);
  writeFacts(w, entry);
}

export function readEntry(r: Reader): Entry {
  return readFacts(r, r.bytes());
}

/** The least bytes an entry takes. */
export const entryBytesMin = 6;

export function writeReading(w: Writer, reading: Reading): void {
  w.uint(reading.revision);
  w.uint(reading.count);
  w.bool(reading.more);
  w.uint(reading.entries.length);
  for (const entry of reading.entries) writeEntry(w, entry);
}

export function readReading(r: Reader): Reading {
  const revision = r.uint();
  const count = r.uint();
  const more = r.bool();
  return { revision, count, more, entries: readList(r, entryBytesMin, readEntry) };
}

/** A reading of one key, which whoever reads the answer knows. */
export function writeFound(w: Writer, { revision, entries }: Reading): void {
  w.uint(revision);
  const [entry] = entries;
  w.bool(entry !== undefined);
  if (entry !== undefined) writeFacts(w, entry);
}

export function readFound(r: Reader, key: ByteString): Reading {
  const revision = r.uint();
  return r.bool()
    ? { revision, count: 1, more: false, entries: [readFacts(r, key)] }
    : { revision, count: 0, more: false, entries: [] };
}

/** What there is to tell of a key. */
function writeFacts(w: Writer, entry: Entry): void {
  w.bytes(entry.value);
  w.uint(entry.createRevision);
  w.uint(entry.modRevision);
  w.uint(entry.version);
  w.leaseId(entry.lease);
}

function readFacts(r: Reader, key: ByteString): Entry {
  return {
    key,
    value: r.bytes(),
    createRevision: r.uint(),
    modRevision: r.uint(),
    version: r.uint(),
    lease: r.leaseId(),
  };
}

export function readList<T>(r: Reader, itemBytesMin: number, readItem: (r: Reader) => T): T[] {
  return readSome(r, itemBytesMin, readItem) ?? [];
}

/** @returns undefined for an empty list: the hottest messages hold several, and each would be an array to collect */
export function readSome<T>(
  r: Reader,
  itemBytesMin: number,
  readItem: (r: Reader) => T,
): T[] | undefined {
  const count = r.count(itemBytesMin);
  if (count === 0) return undefined;
  // Begun with its first: most have one, and an array begun empty makes room for many.
  const items = [readItem(r)];
  for (let i = 1; i < count; i++) items.push(readItem(r));
  return items;
}

export function pick<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw malformed('it holds a number without a meaning');
  return item;
}
