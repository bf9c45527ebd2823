import { bytesToText, ownBytes } from '../../core/bytes.js';
import type {
  Change,
  ChangeKind,
  DeleteOperation,
  DeleteResult,
  Entry,
  LeaseId,
  PutOperation,
  PutResult,
  Query,
  Reading,
  Revision,
} from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { compactedError } from '../kit/cursor.js';
import { KeyIndex } from '../kit/key-index.js';
import { Slot } from '../kit/slot.js';
import type { TransactionState } from '../kit/transaction.js';
import { futureRevision } from './facts.js';
import { readEntry, type Row } from './values.js';

/**
 * As much of the database as a group of commits looks at, on which they are evaluated one after the other. What they change is noted,
 * to be written in one go.
 */
export class LoadedState implements TransactionState {
  readonly index = new KeyIndex();
  readonly leases = new Set<LeaseId>();
  readonly changes: Change[] = [];
  head: Revision;
  /** Of the database when it was loaded. */
  readonly base: Revision;
  readonly compacted: Revision;
  readonly identity: string;
  readonly #past: ReadonlyMap<Query, Reading>;
  /** Changes of the commits before the one under way. */
  #settled = 0;

  /** @param rows  of the functions `load` and `look` */
  constructor(rows: readonly Row[], past: ReadonlyMap<Query, Reading>) {
    const [meta] = rows;
    assert(meta?.[0] === 'meta', 'the row of revisions comes first');
    this.identity = bytesToText(meta[1] as string);
    this.base = meta[3] as Revision;
    this.compacted = meta[4] as Revision;
    this.head = this.base;
    this.#past = past;
    for (const row of rows) {
      if (row[0] === 'lease') this.leases.add(row[6] as LeaseId);
      else if (row[0] === 'entry') this.#load(readEntry(row, 1));
    }
  }

  /** Whether the commit under way has changed anything. */
  readonly wrote = (): boolean => this.changes.length > this.#settled;

  /** The commit under way has been evaluated. */
  settle(): void {
    if (this.wrote()) this.head++;
    this.#settled = this.changes.length;
  }

  refuseOutsideHistory(at: Revision, present: Revision): void {
    if (at > present) throw futureRevision(at, present);
    if (at < this.compacted) throw compactedError(this.compacted);
  }

  readPast(query: Query, _at: Revision, revision: Revision): Reading {
    const reading = this.#past.get(query);
    assert(reading !== undefined, 'the past was read before');
    return { ...reading, revision };
  }

  put(operation: PutOperation, revision: Revision): PutResult {
    const slot = this.index.get(operation.key) ?? new Slot(ownBytes(operation.key));
    const value = operation.keepValue === true ? slot.value : operation.value;
    const lease = operation.keepLease === true ? slot.lease : (operation.lease ?? 0);
    const previous = slot.version === 0 ? null : slot.entry();
    this.#change(slot, { kind: 'put', value, lease }, revision);
    return operation.previous === true ? { type: 'put', previous } : { type: 'put' };
  }

  delete(operation: DeleteOperation, revision: Revision): DeleteResult {
    const slots = this.index.liveSlots(operation);
    const previous: Entry[] | undefined = operation.previous === true ? [] : undefined;
    for (const slot of slots) {
      previous?.push(slot.entry());
      this.#change(slot, { kind: 'delete', value: '', lease: 0 }, revision);
    }
    const deleted = slots.length;
    return previous === undefined
      ? { type: 'delete', deleted }
      : { type: 'delete', deleted, previous };
  }

  /** What several demands ask for comes several times: the one with its value counts. */
  #load(entry: Entry): void {
    const known = this.index.get(entry.key);
    if (known !== undefined) {
      if (entry.value !== '') known.restore(entry);
      return;
    }
    const slot = new Slot(entry.key);
    slot.restore(entry);
    this.index.add(slot);
  }

  #change(
    slot: Slot,
    { kind, value, lease }: { kind: ChangeKind; value: string; lease: LeaseId },
    revision: Revision,
  ): void {
    const lived = slot.version !== 0;
    const known = this.index.get(slot.key) !== undefined;
    if (kind === 'put') slot.put(value, revision, lease);
    else slot.delete(revision);
    if (known) this.index.moved(slot, lived);
    else this.index.add(slot);
    this.changes.push({ kind, entry: slot.entry() });
  }
}
