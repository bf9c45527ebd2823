import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { arrayToBytes } from '../../core/bytes.js';
import type { ByteString, Entry, OrderBy, Query, Reading, Revision } from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { toLeaseId } from '../../core/lease-id.js';
import { sortOrder, sortTarget } from './enums.js';
import {
  type KeyValueSchema,
  type RangeRequestSchema,
  type RangeResponseSchema,
  type ResponseHeaderSchema,
} from './gen/etcd_pb.js';
import type { Layout } from './layout.js';

/** Entries, and what is asked about them, as etcd has them. */

/** @throws {WaymarkError} `internal` where an int64 of etcd is no safe integer (K1) */
export function toNumber(value: bigint): number {
  const number = Number(value);
  assert(Number.isSafeInteger(number), `${value} from etcd is beyond 2^53`);
  return number;
}

export function revisionOf({
  header,
}: {
  readonly header?: MessageShape<typeof ResponseHeaderSchema> | undefined;
}): Revision {
  return toNumber(header?.revision ?? 0n);
}

export function readEntry(layout: Layout, kv: MessageShape<typeof KeyValueSchema>): Entry {
  return {
    key: layout.entryKey(kv.key),
    value: arrayToBytes(kv.value),
    createRevision: toNumber(kv.createRevision),
    modRevision: toNumber(kv.modRevision),
    version: toNumber(kv.version),
    lease: toLeaseId(kv.lease),
  };
}

/** Where what is asked lies. */
export interface Ground {
  readonly layout: Layout;
  /** Reads below it are refused; absent: whoever asks looks to that. */
  readonly floor?: Revision;
}

/** A revision that etcd refuses to read at, and with it the whole transaction, when the branch with the read is the one to run. */
const refused = BigInt(Number.MAX_SAFE_INTEGER);

/** Equal ones stay in key order, which etcd's sort does not promise: all orders but that by key are made here. */
export function writeQuery(
  { layout, floor = 0 }: Ground,
  query: Query,
): MessageInitShape<typeof RangeRequestSchema> {
  const sortsHere = isSortedHere(query);
  const descends = query.descending === true && !sortsHere;
  return {
    key: layout.key(query.key),
    rangeEnd: layout.end(query),
    limit: BigInt(sortsHere ? 0 : (query.limit ?? 0)),
    revision: revisionAsked(query.at, floor),
    sortOrder: descends ? sortOrder.descend : sortOrder.none,
    sortTarget: sortTarget.key,
    keysOnly: query.keysOnly === true && (query.orderBy ?? 'key') !== 'value',
    countOnly: query.countOnly === true,
    minModRevision: BigInt(query.minModRevision ?? 0),
    maxModRevision: BigInt(query.maxModRevision ?? 0),
    minCreateRevision: BigInt(query.minCreateRevision ?? 0),
    maxCreateRevision: BigInt(query.maxCreateRevision ?? 0),
  };
}

/** etcd takes 0 for the present. At its first revision there is nothing yet, as at ours. */
function revisionAsked(at: Revision | undefined, floor: Revision): bigint {
  if (at === undefined) return 0n;
  return at < floor ? refused : BigInt(Math.max(1, at));
}

/** @param revision  what the answer is true at */
export function readReading(
  layout: Layout,
  query: Query,
  answer: MessageShape<typeof RangeResponseSchema>,
  revision: Revision,
): Reading {
  let entries = answer.kvs.map((kv) => readEntry(layout, kv));
  let { more } = answer;
  // etcd takes an upper bound of 0 for none; nothing is as old as that.
  if (query.maxModRevision === 0 || query.maxCreateRevision === 0) [entries, more] = [[], false];
  if (isSortedHere(query)) {
    entries.sort(comparator(query));
    const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
    more = entries.length > limit;
    if (more) entries.length = limit;
  }
  if (query.keysOnly === true) entries = entries.map((entry) => ({ ...entry, value: '' }));
  const count = query.uncounted === true ? entries.length : toNumber(answer.count);
  return { revision, entries, more: query.countOnly !== true && more, count };
}

function isSortedHere({ end, orderBy = 'key' }: Query): boolean {
  return orderBy !== 'key' && end !== undefined;
}

const sortKeys: Record<OrderBy, (entry: Entry) => number | ByteString> = {
  key: (entry) => entry.key,
  create: (entry) => entry.createRevision,
  mod: (entry) => entry.modRevision,
  version: (entry) => entry.version,
  value: (entry) => entry.value,
};

function comparator({ orderBy = 'key', descending }: Query): (a: Entry, b: Entry) => number {
  const sortKey = sortKeys[orderBy];
  const sign = descending === true ? -1 : 1;
  return (a, b) => {
    const [left, right] = [sortKey(a), sortKey(b)];
    return left < right ? -sign : left > right ? sign : 0;
  };
}
