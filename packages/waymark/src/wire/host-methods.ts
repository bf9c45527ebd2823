import type { Outcome, Query, Reading, Txn } from '../core/engine.js';
import type {
  AcquireRequest,
  ConvertRequest,
  Explanation,
  ExplainRequest,
  HoldEnd,
  HoldProof,
} from '../core/host.js';
import {
  engineStatus,
  leaseGrant,
  leaseRenew,
  leaseRevoke,
  leaseState,
  readWatchArgs,
  writeWatchArgs,
  type WatchArgs,
} from './engine-methods.js';
import { record } from './hello.js';
import {
  type HoldArgs,
  holdEnds,
  readHeld,
  readHoldArgs,
  readMode,
  readProof,
  readTexts,
  writeHeld,
  writeHoldArgs,
  writeMode,
  writeProof,
  writeTexts,
} from './hold-codec.js';
import {
  pick,
  readFound,
  readQuery,
  readReading,
  readSome,
  writeFound,
  writeQuery,
  writeReading,
} from './query-codec.js';
import { readOutcome, readTxn, writeOutcome, writeTxn } from './txn-codec.js';
import { method, nothing, readOptional, writeOptional } from './method.js';
import { malformed, names } from './reader.js';

export interface HostReadArgs {
  readonly namespace: string;
  readonly query: Query;
  readonly stale: boolean;
}

export interface HostCommitArgs {
  readonly namespace: string;
  readonly txn: Txn;
  readonly guard: boolean;
  readonly alone: boolean;
  readonly wide: boolean;
  readonly holds: readonly HoldProof[] | undefined;
  readonly under: HoldProof | undefined;
}

/** Every call of core/host.ts. Verbs 0x40 to 0x6f. */
export const hostMethods = {
  read: method<HostReadArgs, Reading>({
    verb: 0x40,
    name: 'read',
    whenBroken: 'retry',
    writeArgs(w, { namespace, query, stale }) {
      w.name(namespace);
      w.bool(stale);
      writeQuery(w, query);
    },
    readArgs(r) {
      const namespace = r.name();
      const stale = r.bool();
      return { namespace, stale, query: readQuery(r) };
    },
    writeResult: writeReading,
    readResult: readReading,
  }),
  commit: method<HostCommitArgs, Outcome>({
    verb: 0x41,
    name: 'commit',
    whenBroken: 'uncertain',
    writeArgs(w, { namespace, txn, guard, alone, wide, holds, under }) {
      w.name(namespace);
      const flags = (guard ? 1 : 0) | (under === undefined ? 0 : 2) | (alone ? 4 : 0);
      w.byte(flags | (wide ? 8 : 0));
      w.uint(holds === undefined ? 0 : holds.length);
      if (holds !== undefined) for (const hold of holds) writeProof(w, hold);
      if (under !== undefined) writeProof(w, under);
      writeTxn(w, txn);
    },
    readArgs(r) {
      const namespace = r.name();
      const flags = r.byte();
      const holds = readSome(r, 3, readProof);
      const under = (flags & 2) === 0 ? undefined : readProof(r);
      const [guard, alone, wide] = [(flags & 1) !== 0, (flags & 4) !== 0, (flags & 8) !== 0];
      return { namespace, guard, alone, wide, holds, under, txn: readTxn(r) };
    },
    writeResult: writeOutcome,
    readResult: readOutcome,
  }),
  watch: method<WatchArgs & { namespace: string }, undefined>({
    verb: 0x42,
    name: 'watch',
    whenBroken: 'retry',
    writeArgs(w, args) {
      w.name(args.namespace);
      writeWatchArgs(w, args);
    },
    readArgs(r) {
      const namespace = r.name();
      return { namespace, ...readWatchArgs(r) };
    },
    writeResult: nothing,
    readResult: nothing,
  }),
  grant: leaseGrant(0x43, 'grant'),
  renew: leaseRenew(0x44, 'renew'),
  revoke: leaseRevoke(0x45, 'revoke'),
  lease: leaseState(0x46, 'lease'),
  acquire: method<{ namespace: string; request: AcquireRequest }, number | null>({
    verb: 0x47,
    name: 'acquire',
    whenBroken: 'retry',
    writeArgs(w, { namespace, request }) {
      w.name(namespace);
      writeHeld(w, request);
      w.leaseId(request.lease);
      w.text(request.owner);
      w.text(request.session);
      writeOptional(w, request.waitMs);
    },
    readArgs(r) {
      const namespace = r.name();
      const { path, tree, mode, id } = readHeld(r);
      const lease = r.leaseId();
      const owner = r.name(names.owner);
      const session = r.name(names.session);
      const waitMs = readOptional(r);
      return { namespace, request: { id, path, tree, mode, lease, owner, session, waitMs } };
    },
    // No token is 0: revisions begin at 1.
    writeResult: (w, token) => w.uint(token ?? 0),
    readResult: (r) => r.uint() || null,
  }),
  release: method<HoldArgs, boolean>({
    verb: 0x48,
    name: 'release',
    whenBroken: 'retry',
    writeArgs: writeHoldArgs,
    readArgs: readHoldArgs,
    writeResult: (w, released) => w.bool(released),
    readResult: (r) => r.bool(),
  }),
  convert: method<HoldArgs & { to: ConvertRequest }, number>({
    verb: 0x49,
    name: 'convert',
    whenBroken: 'uncertain',
    writeArgs(w, args) {
      writeHoldArgs(w, args);
      writeMode(w, args.to.mode);
      writeOptional(w, args.to.waitMs);
    },
    readArgs(r) {
      const { namespace, hold } = readHoldArgs(r);
      const mode = readMode(r);
      return { namespace, hold, to: { mode, waitMs: readOptional(r) } };
    },
    writeResult: (w, token) => w.uint(token),
    readResult: (r) => r.uint(),
  }),
  forceUnlock: method<{ namespace: string; path: string; reason: string }, number>({
    verb: 0x4a,
    name: 'forceUnlock',
    whenBroken: 'uncertain',
    writeArgs(w, { namespace, path, reason }) {
      w.name(namespace);
      w.text(path);
      w.text(reason);
    },
    readArgs(r) {
      const namespace = r.text();
      const path = r.text();
      return { namespace, path, reason: r.text() };
    },
    writeResult: (w, ended) => w.uint(ended),
    readResult: (r) => r.uint(),
  }),
  explain: method<{ namespace: string; request: ExplainRequest }, Explanation>({
    verb: 0x4b,
    name: 'explain',
    whenBroken: 'retry',
    writeArgs(w, { namespace, request }) {
      w.name(namespace);
      w.text(request.path);
      w.bool(request.tree);
      writeMode(w, request.mode);
    },
    readArgs(r) {
      const namespace = r.text();
      const path = r.text();
      const tree = r.bool();
      return { namespace, request: { path, tree, mode: readMode(r) } };
    },
    writeResult: (w, explanation) => w.json(explanation),
    readResult(r) {
      const told = record(r.json());
      if (!Array.isArray(told['holders']) || !Array.isArray(told['waiters'])) {
        throw malformed('an explanation lists holders and waiters');
      }
      return told as unknown as Explanation;
    },
  }),
  /** Answered when the hold has ended. */
  watchHold: method<HoldArgs, HoldEnd>({
    verb: 0x4c,
    name: 'watchHold',
    whenBroken: 'retry',
    writeArgs: writeHoldArgs,
    readArgs: readHoldArgs,
    writeResult(w, { kind, detail }) {
      w.byte(holdEnds.indexOf(kind));
      w.text(detail);
    },
    readResult(r) {
      const kind = pick(holdEnds, r.byte());
      return { kind, detail: r.text() };
    },
  }),
  namespaces: method<undefined, readonly string[]>({
    verb: 0x4d,
    name: 'namespaces',
    whenBroken: 'retry',
    writeArgs: nothing,
    readArgs: nothing,
    writeResult: writeTexts,
    readResult: readTexts,
  }),
  removeNamespace: method<string, undefined>({
    verb: 0x4e,
    name: 'removeNamespace',
    whenBroken: 'uncertain',
    writeArgs: (w, name) => w.text(name),
    readArgs: (r) => r.text(),
    writeResult: nothing,
    readResult: nothing,
  }),
  prune: method<{ namespace: string; path: string; olderThanMs: number }, readonly string[]>({
    verb: 0x4f,
    name: 'prune',
    whenBroken: 'uncertain',
    writeArgs(w, { namespace, path, olderThanMs }) {
      w.name(namespace);
      w.text(path);
      w.double(olderThanMs);
    },
    readArgs(r) {
      const namespace = r.text();
      const path = r.text();
      return { namespace, path, olderThanMs: r.double() };
    },
    writeResult: writeTexts,
    readResult: readTexts,
  }),
  status: engineStatus(0x50, 'status'),
  /** A read of one key as it is now (`asksForOne`), the hottest of all: the answer does not tell the key again. */
  get: method<HostReadArgs, Reading>({
    verb: 0x51,
    name: 'get',
    whenBroken: 'retry',
    writeArgs(w, { namespace, query, stale }) {
      w.name(namespace);
      w.bool(stale);
      w.bytes(query.key);
    },
    readArgs(r) {
      const namespace = r.name();
      const stale = r.bool();
      return { namespace, stale, query: { key: r.bytes() } };
    },
    writeResult: writeFound,
    readResult: (r, { query }) => readFound(r, query.key),
  }),
} as const;
