import type {
  EngineStatus,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  Query,
  Reading,
  Revision,
  Txn,
} from '../core/engine.js';
import { record } from './hello.js';
import {
  readList,
  readQuery,
  readRanges,
  readReading,
  writeQuery,
  writeRanges,
  writeReading,
} from './query-codec.js';
import { readOutcome, readTxn, writeOutcome, writeTxn } from './txn-codec.js';
import { method, nothing } from './method.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

export interface WatchArgs {
  readonly ranges: readonly KeyRange[];
  readonly after: Revision | undefined;
  readonly previous: boolean;
  readonly identity: string | undefined;
}

export interface GrantArgs {
  readonly ttlMs: number;
  readonly id: LeaseId | undefined;
}

/** Every call of core/engine.ts, for those who have the engine right. Verbs 0x20 to 0x3f. */
export const engineMethods = {
  read: method<{ query: Query; stale: boolean }, Reading>({
    verb: 0x20,
    name: 'engine.read',
    whenBroken: 'retry',
    writeArgs(w, { query, stale }) {
      w.bool(stale);
      writeQuery(w, query);
    },
    readArgs(r) {
      const stale = r.bool();
      return { stale, query: readQuery(r) };
    },
    writeResult: writeReading,
    readResult: readReading,
  }),
  commit: method<{ txn: Txn; alone: boolean }, Outcome>({
    verb: 0x21,
    name: 'engine.commit',
    whenBroken: 'uncertain',
    writeArgs(w, { txn, alone }) {
      w.bool(alone);
      writeTxn(w, txn);
    },
    readArgs(r) {
      const alone = r.bool();
      return { alone, txn: readTxn(r) };
    },
    writeResult: writeOutcome,
    readResult: readOutcome,
  }),
  watch: method<WatchArgs, undefined>({
    verb: 0x22,
    name: 'engine.watch',
    whenBroken: 'retry',
    writeArgs: writeWatchArgs,
    readArgs: readWatchArgs,
    writeResult: nothing,
    readResult: nothing,
  }),
  grant: leaseGrant(0x23, 'engine.grant'),
  renew: leaseRenew(0x24, 'engine.renew'),
  revoke: leaseRevoke(0x25, 'engine.revoke'),
  lease: leaseState(0x26, 'engine.lease'),
  leases: method<undefined, readonly LeaseId[]>({
    verb: 0x27,
    name: 'engine.leases',
    whenBroken: 'retry',
    writeArgs: nothing,
    readArgs: nothing,
    writeResult(w, ids) {
      w.uint(ids.length);
      for (const id of ids) w.leaseId(id);
    },
    readResult: (r) => readList(r, 1, (from) => from.leaseId()),
  }),
  compact: method<Revision, undefined>({
    verb: 0x28,
    name: 'engine.compact',
    whenBroken: 'retry',
    writeArgs: (w, through) => w.uint(through),
    readArgs: (r) => r.uint(),
    writeResult: nothing,
    readResult: nothing,
  }),
  status: engineStatus(0x29, 'engine.status'),
} as const;

export function writeWatchArgs(w: Writer, args: WatchArgs): void {
  const { after, identity } = args;
  w.byte(
    (args.previous ? 1 : 0) | (after === undefined ? 0 : 2) | (identity === undefined ? 0 : 4),
  );
  if (after !== undefined) w.uint(after);
  if (identity !== undefined) w.text(identity);
  writeRanges(w, args.ranges);
}

export function readWatchArgs(r: Reader): WatchArgs {
  const flags = r.byte();
  const after = (flags & 2) === 0 ? undefined : r.uint();
  const identity = (flags & 4) === 0 ? undefined : r.text();
  return { after, identity, previous: (flags & 1) !== 0, ranges: readRanges(r) };
}

export function leaseGrant(verb: number, name: string) {
  return method<GrantArgs, Lease>({
    verb,
    name,
    whenBroken: 'uncertain',
    writeArgs(w, { ttlMs, id }) {
      w.double(ttlMs);
      writeAsked(w, id);
    },
    readArgs(r) {
      const ttlMs = r.double();
      return { ttlMs, id: readAsked(r) };
    },
    writeResult: writeLease,
    readResult: readLease,
  });
}

export function leaseRenew(verb: number, name: string) {
  return method<LeaseId, Lease>({
    verb,
    name,
    whenBroken: 'retry',
    writeArgs: (w, id) => w.leaseId(id),
    readArgs: (r) => r.leaseId(),
    writeResult: writeLease,
    readResult: readLease,
  });
}

export function leaseRevoke(verb: number, name: string) {
  return method<LeaseId, { readonly revision: Revision }>({
    verb,
    name,
    whenBroken: 'uncertain',
    writeArgs: (w, id) => w.leaseId(id),
    readArgs: (r) => r.leaseId(),
    writeResult: (w, { revision }) => w.uint(revision),
    readResult: (r) => ({ revision: r.uint() }),
  });
}

export function leaseState(verb: number, name: string) {
  return method<LeaseId, LeaseState | null>({
    verb,
    name,
    whenBroken: 'retry',
    writeArgs: (w, id) => w.leaseId(id),
    readArgs: (r) => r.leaseId(),
    writeResult(w, state) {
      w.bool(state !== null);
      if (state === null) return;
      writeLease(w, state);
      w.double(state.remainingMs);
      w.uint(state.keys.length);
      for (const key of state.keys) w.bytes(key);
    },
    readResult(r) {
      if (!r.bool()) return null;
      const { id, ttlMs } = readLease(r);
      const remainingMs = r.double();
      return { id, ttlMs, remainingMs, keys: readList(r, 1, (from) => from.bytes()) };
    },
  });
}

export function engineStatus(verb: number, name: string) {
  return method<undefined, EngineStatus>({
    verb,
    name,
    whenBroken: 'retry',
    writeArgs: nothing,
    readArgs: nothing,
    writeResult: (w, status) => w.json(status),
    readResult(r) {
      const status = record(r.json());
      if (typeof status['identity'] !== 'string') throw malformed('a status names an identity');
      return status as unknown as EngineStatus;
    },
  });
}

/** What an id that is asked for is written as. A server that knows no ids beyond 2^53-1 takes one for a double, which is then no id. */
const asked = { none: 0, double: 1, leaseId: 2 } as const;

function writeAsked(w: Writer, id: LeaseId | undefined): void {
  if (id === undefined) return w.byte(asked.none);
  if (typeof id === 'number') {
    w.byte(asked.double);
    return w.double(id);
  }
  w.byte(asked.leaseId);
  w.leaseId(id);
}

function readAsked(r: Reader): LeaseId | undefined {
  const as = r.byte();
  if (as === asked.none) return undefined;
  return as === asked.leaseId ? r.leaseId() : r.double();
}

function writeLease(w: Writer, lease: Lease): void {
  w.leaseId(lease.id);
  w.uint(lease.ttlMs);
}

function readLease(r: Reader): Lease {
  const id = r.leaseId();
  return { id, ttlMs: r.uint() };
}
