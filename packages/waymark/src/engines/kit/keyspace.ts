import type { Clock, Random } from '../../core/clock.js';
import type {
  Batch,
  ByteString,
  Change,
  ChangeKind,
  DeleteOperation,
  DeleteResult,
  EngineStatus,
  Entry,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  PutOperation,
  PutResult,
  Query,
  Reading,
  Revision,
  Txn,
  WatchOptions,
} from '../../core/engine.js';
import { ownBytes } from '../../core/bytes.js';
import { WaymarkError } from '../../core/errors.js';
import { validateLeaseId } from '../../core/lease-id.js';
import { asksForOne } from '../../core/queries.js';
import {
  validateQuery,
  validateRanges,
  validateRevision,
  validateTtl,
  validateTxn,
} from '../../core/validate.js';
import { compactedError, Cursor, type CursorSource } from './cursor.js';
import { DeletedSince } from './deleted-since.js';
import { History } from './history.js';
import type { CommitRecord, JournalRecord } from './journal.js';
import { KeyIndex } from './key-index.js';
import { LeaseTable } from './lease-table.js';
import { Slot, type State } from './slot.js';
import { evaluate, type TransactionState } from './transaction.js';
import { WatchIndex } from './watch-index.js';

export interface HistoryBounds {
  /** Keep at least so many revisions. Default 10 000. */
  readonly revisions?: number | undefined;
  /** Keep at least so many bytes of changes. Default 64 MiB. The history ends where both are passed. */
  readonly bytes?: number | undefined;
  /**
   * What came after this revision is still needed, and kept as long as it is no more than 1 000 000 revisions and 256 MiB; null: nothing. Asked
   * whenever history could be dropped.
   */
  readonly needed?: (() => Revision | null) | undefined;
}

/** How far what is needed is kept beyond the bounds. */
export const neededMax = { revisions: 1_000_000, bytes: 256 * 1_048_576 } as const;

export interface KeyspaceOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly identity: string;
  readonly history?: HistoryBounds | undefined;
  /**
   * Told of every change of state, in order, as it happens. With a journal the keyspace publishes nothing by itself: reads
   * and watches see a revision once `publish` was called for it. Without, at once.
   */
  readonly journal?: ((record: JournalRecord) => void) | undefined;
}

/** Old history is dropped when so many changes have come, twice as many at once: batches read cold memory faster, and it never piles up. */
const retireEvery = 64;
const retirePerTurn = 2_000;
const plainPut: PutResult = Object.freeze({ type: 'put' });
/** An idle watch is told a bookmark each time so many revisions were dropped, so that it can resume. */
const bookmarkEvery = 4_096;

/**
 * The state that the memory and the file engine share: keys with their history, leases and watches, all synchronous. Two
 * revisions matter: `head` is the newest, which commits are evaluated on; `published` is what reads and watches
 * may see. The file engine holds `published` back until the log is flushed, so nothing is seen that a crash could take away.
 */
export class Keyspace implements TransactionState, CursorSource {
  readonly index = new KeyIndex();
  readonly leases: LeaseTable;
  readonly history = new History();
  /** Set once more by a durable engine that finds its own on the disk, before any use. */
  identity: string;
  head: Revision = 0;
  published: Revision = 0;
  publishedEnd = 0;
  /** History below this is gone (K9). */
  compacted: Revision = 0;
  readonly #clock: Clock;
  readonly #journal: ((record: JournalRecord) => void) | undefined;
  readonly #watches = new WatchIndex();
  readonly #revisionsMin: number;
  readonly #bytesMin: number;
  readonly #needed: () => Revision | null;
  /** Revisions that an iteration still reads at: nothing they need is dropped. */
  readonly #pins = new Map<Revision, { gone: DeletedSince; holders: number }>();
  #keys = 0;
  #bytes = 0;
  /** Where in history the changes of the commit under way begin. */
  #committed = 0;
  /** Changes since old history was last dropped. */
  #unretired = 0;
  #retiring = false;
  #bookmarkedAt: Revision = 0;
  #closed = false;

  constructor(options: KeyspaceOptions) {
    this.identity = options.identity;
    this.#clock = options.clock;
    this.#journal = options.journal;
    this.#revisionsMin = options.history?.revisions ?? 10_000;
    this.#bytesMin = options.history?.bytes ?? 64 * 1_048_576;
    this.#needed = options.history?.needed ?? nothing;
    this.leases = new LeaseTable(options.clock, options.random, (id) => this.#end(id));
  }

  commit(txn: Txn, wide?: boolean): Outcome {
    this.#open();
    validateTxn(txn, wide);
    const outcome = evaluate(this, txn, this.#wrote);
    if (this.#wrote()) this.#finish();
    return outcome;
  }

  read(query: Query): Reading {
    const present = this.present(query);
    if (present === null) return this.search(query);
    return { revision: this.published, entries: [present.entry()], more: false, count: 1 };
  }

  /** The hottest read: the one key that is asked for, as it is now. @returns null when it is not there or more is asked: then `search` tells */
  present(query: Query): State | null {
    this.#open();
    // A key that is found was valid when it was put.
    return asksForOne(query) ? (this.index.get(query.key)?.at(this.published) ?? null) : null;
  }

  /** What `read` answers, by the long way. */
  search(query: Query): Reading {
    this.#open();
    validateQuery(query);
    const { at } = query;
    if (at === undefined) return this.readPast(query, this.published, this.published);
    this.refuseOutsideHistory(at, this.published);
    return this.readPast(query, at, this.published);
  }

  readPast(query: Query, at: Revision, revision: Revision): Reading {
    // In a commit, the newest revision is the past as soon as something was written.
    const past = query.end !== undefined && (at < this.head || this.#wrote());
    return this.index.read(query, at, past ? new DeletedSince(this.history, at) : null, revision);
  }

  watch(ranges: readonly KeyRange[], options: WatchOptions = {}): AsyncIterableIterator<Batch> {
    this.#open();
    validateRanges(ranges);
    const { after, identity, signal } = options;
    signal?.throwIfAborted();
    if (identity !== undefined && identity !== this.identity) throw this.#superseded(identity);
    validateRevision('after', after);
    if (after !== undefined) this.refuseOutsideHistory(after, this.published);
    const previous = options.previous === true;
    const cursor = new Cursor(this, [...ranges], { after, previous, signal });
    this.#watches.add(cursor);
    return cursor;
  }

  grant(ttlMs: number, id?: LeaseId): Lease {
    this.#open();
    validateTtl(ttlMs);
    if (id !== undefined) validateLeaseId(id);
    const lease = this.leases.grant(ttlMs, id);
    this.#journal?.({ type: 'grant', id: lease.id, ttlMs });
    return lease;
  }

  renew(id: LeaseId): Lease {
    this.#open();
    return this.leases.renew(id);
  }

  revoke(id: LeaseId): { readonly revision: Revision } {
    this.#open();
    this.#end(id);
    return { revision: this.head };
  }

  lease(id: LeaseId): LeaseState | null {
    this.#open();
    return this.leases.state(id);
  }

  compact(through: Revision): void {
    this.#open();
    validateRevision('through', through);
    if (through > this.published) throw futureRevision(through, this.published);
    if (through <= this.compacted) return;
    this.compacted = through;
    this.#journal?.({ type: 'compact', through });
    this.#retireInTurns();
  }

  status(engine: string): EngineStatus {
    this.#open();
    return {
      engine,
      identity: this.identity,
      revision: this.published,
      compacted: this.compacted,
      keys: this.#keys,
      leases: this.leases.size,
      bytes: this.#bytes,
    };
  }

  /** Lets reads and watches see everything up to `revision`. */
  publish(revision: Revision): void {
    if (revision <= this.published) return;
    this.published = revision;
    const { history } = this;
    let position = this.publishedEnd;
    for (; position < history.end; position++) {
      const version = history.at(position);
      if (version.modRevision > revision) break;
      this.#announce(version.slot, position);
    }
    this.publishedEnd = position;
  }

  /** Keeps every entry that is live at `revision` readable through `entriesAt`. @returns lets go */
  pin(revision: Revision): () => void {
    const pin = this.#pins.get(revision) ?? {
      gone: new DeletedSince(this.history, revision),
      holders: 0,
    };
    pin.holders++;
    this.#pins.set(revision, pin);
    return () => {
      if (--pin.holders === 0) this.#pins.delete(revision);
    };
  }

  /** A page of the entries live at a pinned revision, in key order, whatever was compacted meanwhile. */
  entriesAt(revision: Revision, from: string, limit: number): Entry[] {
    const entries: Entry[] = [];
    const gone = this.#pins.get(revision)?.gone ?? null;
    this.index.visit(
      { key: from, end: '' },
      revision,
      gone,
      (version) => entries.push(version.entry()) < limit,
    );
    return entries;
  }

  /** History after this revision is still needed, within the bounds of that; `head` where nothing is. */
  neededAfter(): Revision {
    const needed = this.#needed();
    if (needed === null || needed >= this.head) return this.head;
    const after = Math.max(needed, this.compacted, this.head - neededMax.revisions);
    return this.history.within(after, neededMax.bytes);
  }

  /** The commits after a revision that is pinned, up to `through`: whole ones, in order, until they hold `changesMin`. */
  commitsAfter(revision: Revision, through: Revision, changesMin: number): CommitRecord[] {
    const { history } = this;
    const commits: CommitRecord[] = [];
    const first = history.positionAfter(revision);
    const end = history.positionAfter(through);
    for (let position = first; position < end && position - first < changesMin;) {
      const { modRevision } = history.at(position);
      const changes: Change[] = [];
      while (position < end && history.at(position).modRevision === modRevision)
        changes.push(history.changeAt(position++, false));
      commits.push({ type: 'commit', revision: modRevision, changes });
    }
    return commits;
  }

  /** Replays one record of a journal. Leases get their whole TTL again; all of it is published. */
  replay(record: JournalRecord): void {
    switch (record.type) {
      case 'grant':
        this.leases.grant(record.ttlMs, record.id);
        return;
      case 'end':
        this.leases.remove(record.id);
        return;
      case 'compact':
        this.compacted = Math.max(this.compacted, record.through);
        return;
      case 'commit':
        for (const change of record.changes) this.#restore(change);
        this.head = record.revision;
        this.publish(this.head);
        this.#settle();
    }
  }

  /** Takes a live entry from a snapshot, without history. */
  restoreEntry(entry: Entry): void {
    const slot = new Slot(entry.key);
    slot.restore(entry);
    this.index.add(slot);
    if (entry.lease !== 0) this.leases.attach(entry.lease, entry.key);
    this.#keys++;
    this.#bytes += slot.liveBytes;
  }

  /** The state of `restoreEntry` calls is that of this revision; there is no history below it. */
  restoreRevision(revision: Revision): void {
    this.head = revision;
    this.compacted = revision;
    this.published = revision;
  }

  refuseOutsideHistory(at: Revision, present: Revision): void {
    if (at > present) throw futureRevision(at, present);
    if (at < this.compacted) throw compactedError(this.compacted);
  }

  put(operation: PutOperation, revision: Revision): PutResult {
    const slot = this.index.get(operation.key) ?? new Slot(ownBytes(operation.key));
    const value = operation.keepValue === true ? slot.value : operation.value;
    const lease = operation.keepLease === true ? slot.lease : (operation.lease ?? 0);
    if (operation.previous !== true) {
      this.#apply(slot, 'put', value, revision, lease);
      return plainPut;
    }
    const previous = slot.version === 0 ? null : slot.entry();
    this.#apply(slot, 'put', value, revision, lease);
    return { type: 'put', previous };
  }

  delete(operation: DeleteOperation, revision: Revision): DeleteResult {
    const slots = this.index.liveSlots(operation);
    const previous: Entry[] | undefined = operation.previous === true ? [] : undefined;
    for (const slot of slots) {
      previous?.push(slot.entry());
      this.#apply(slot, 'delete', '', revision, 0);
    }
    return previous === undefined
      ? { type: 'delete', deleted: slots.length }
      : { type: 'delete', deleted: slots.length, previous };
  }

  forget(cursor: Cursor): void {
    this.#watches.remove(cursor);
  }

  /** Ends every watch and timer; later calls are `unavailable`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.fail(closedError());
  }

  /** The journal is lost: leases end no more and every watch ends with `error`; what was published can be read. */
  fail(error: WaymarkError): void {
    this.leases.close();
    for (const cursor of [...this.#watches.cursors]) cursor.fail(error);
  }

  readonly #wrote = (): boolean => this.history.end > this.#committed;

  #open(): void {
    if (this.#closed) throw closedError();
  }

  #apply(
    slot: Slot,
    kind: ChangeKind,
    value: ByteString,
    revision: Revision,
    lease: LeaseId,
  ): void {
    const { modRevision, version, lease: leaseBefore, liveBytes } = slot;
    const before = this.history.before(slot);
    if (kind === 'put') slot.put(value, revision, lease);
    else slot.delete(revision);
    this.history.record(slot, kind, before);
    if (modRevision === 0) this.index.add(slot);
    else this.index.moved(slot, version !== 0);
    if (leaseBefore !== 0 && leaseBefore !== lease) this.leases.detach(leaseBefore, slot.key);
    if (lease !== 0) this.leases.attach(lease, slot.key);
    this.#keys += Number(slot.version > 0) - Number(version > 0);
    this.#bytes += slot.liveBytes - liveBytes;
  }

  /** The commit's changes are all applied: it gets its revision, is written down and, without a journal, published. */
  #finish(): void {
    this.head++;
    if (this.#journal === undefined) this.publish(this.head);
    else {
      const changes: Change[] = [];
      for (let position = this.#committed; position < this.history.end; position++) {
        changes.push(this.history.changeAt(position, false));
      }
      this.#journal({ type: 'commit', revision: this.head, changes });
    }
    this.#settle();
  }

  #settle(): void {
    this.#unretired += this.history.end - this.#committed;
    this.#committed = this.history.end;
    if (this.#unretired < retireEvery) return;
    this.#retire(2 * this.#unretired);
    this.#unretired = 0;
  }

  #announce(slot: Slot, position: number): void {
    for (const cursor of this.#watches.watchersOf(slot)) cursor.notice(position);
  }

  /** All keys of a lease vanish in one revision (K10). */
  #end(id: LeaseId): void {
    const keys = this.leases.remove(id);
    const revision = this.head + 1;
    for (const key of keys) {
      const slot = this.index.get(key) as Slot;
      this.#apply(slot, 'expire', '', revision, 0);
    }
    if (keys.length > 0) this.#finish();
    this.#journal?.({ type: 'end', id });
  }

  #restore({ kind, entry }: Change): void {
    const slot = this.index.get(entry.key) ?? new Slot(entry.key);
    this.#apply(slot, kind, entry.value, entry.modRevision, entry.lease);
  }

  /** Drops up to `budget` changes from the front of history: what is compacted, and what exceeds both bounds. */
  #retire(budget: number): boolean {
    const { history } = this;
    const pinned = this.#pins.size === 0 ? Infinity : Math.min(...this.#pins.keys());
    for (let left = budget; left > 0; left--) {
      const oldest = history.oldest();
      if (oldest === undefined || history.start >= this.publishedEnd) return true;
      const { modRevision: revision, slot } = oldest;
      const surplus = this.head - revision > this.#revisionsMin && history.bytes > this.#bytesMin;
      if (revision > this.compacted && (!surplus || this.#isNeeded(revision))) return true;
      if (revision > pinned) return true;
      if (surplus && revision > this.compacted) this.compacted = revision;
      history.dropOldest();
      if (slot.version === 0 && slot.last === null) this.index.remove(slot);
    }
    if (this.compacted - this.#bookmarkedAt >= bookmarkEvery) this.#bookmarkIdle();
    return false;
  }

  #isNeeded(revision: Revision): boolean {
    const needed = this.#needed();
    if (needed === null || revision <= needed) return false;
    const { revisions, bytes } = neededMax;
    return this.head - revision <= revisions && this.history.bytes <= bytes;
  }

  #bookmarkIdle(): void {
    this.#bookmarkedAt = this.compacted;
    for (const cursor of this.#watches.cursors) {
      const since = cursor.idleSince;
      if (since !== null && since < this.compacted + bookmarkEvery) cursor.owe();
    }
  }

  /** A large compaction is worked off in slices, so that the event loop stays free. */
  #retireInTurns(): void {
    if (this.#retiring) return;
    this.#retiring = true;
    const step = (): void => {
      if (this.#closed || this.#retire(retirePerTurn)) this.#retiring = false;
      else this.#clock.nextTurn(step);
    };
    step();
    this.#bookmarkIdle();
  }

  #superseded(identity: string): WaymarkError {
    return new WaymarkError(
      'superseded',
      `revisions of engine ${identity} mean nothing on ${this.identity}: start from a snapshot`,
    );
  }
}

function nothing(): null {
  return null;
}

function futureRevision(asked: Revision, revision: Revision): WaymarkError {
  return new WaymarkError(
    'future_revision',
    `revision ${asked} is above the present, ${revision}`,
    {
      revision,
    },
  );
}

function closedError(): WaymarkError {
  return new WaymarkError('unavailable', 'the engine is closed');
}
