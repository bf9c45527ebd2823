import type * as core from '../core/engine.js';
import type { ErrorCode } from '../core/errors.js';
import { rangeContains } from '../core/ranges.js';
import { holdsIn, readIn } from './model-queries.js';
import { writesTwice } from './model-writes.js';

interface HeldLease {
  readonly ttlMs: number;
  deadline: number;
}

/**
 * What an engine does, said as plainly as possible: every state there ever was is a sorted array, every question a filter over
 * it. Slow, short and checked by reading. It picks no revisions itself (gaps are legal): it is told which one the
 * engine gave to what changed something.
 */
export class Model {
  /** Of the last change. */
  revision = 0;
  /** The engine's, which may be ahead where others write beside it. */
  present = 0;
  compacted = 0;
  nowMs = 0;
  readonly leases = new Map<core.LeaseId, HeldLease>();
  readonly log: core.Change[] = [];
  /** Every state with the revision it begins at. */
  readonly #states: { readonly from: number; readonly entries: readonly core.Entry[] }[] = [
    { from: 0, entries: [] },
  ];

  entriesAt(revision: number): readonly core.Entry[] {
    return this.#states.findLast((state) => state.from <= revision)?.entries ?? [];
  }

  /** Why a read at `at` is refused, if it is. */
  refusal(at: number | undefined): ErrorCode | null {
    if (at === undefined) return null;
    return at > this.present ? 'future_revision' : at < this.compacted ? 'compacted' : null;
  }

  read(query: core.Query): Omit<core.Reading, 'revision'> {
    return readIn(this.entriesAt(query.at ?? this.revision), query);
  }

  /** Every reason there is to refuse the transaction; an engine gives one of them. */
  refusals(txn: core.Txn): Set<ErrorCode> {
    if (writesTwice(txn)) return new Set(['invalid']);
    const codes = new Set<ErrorCode>();
    for (const operation of this.#branch(txn).operations) {
      if (operation.type === 'txn')
        for (const code of this.refusals(operation.txn)) codes.add(code);
      const refusal = operation.type === 'read' ? this.refusal(operation.at) : null;
      if (refusal !== null) codes.add(refusal);
      if (operation.type === 'put' && this.#lacks(operation)) codes.add('not_found');
    }
    return codes;
  }

  /** Whether the put names a lease, or keeps an entry's value or lease, that is not there. */
  #lacks({ key, lease = 0, keepValue, keepLease }: core.PutOperation): boolean {
    if (lease !== 0 && !this.leases.has(lease)) return true;
    return (keepValue === true || keepLease === true) && this.read({ key }).count === 0;
  }

  /** @param revision  what the engine gave the commit; nothing is changed when it is the present one */
  commit(txn: core.Txn, revision: number): Omit<core.Outcome, 'revision'> {
    const work = [...this.entriesAt(this.revision)];
    const changes: core.Change[] = [];
    const outcome = this.#run(txn, work, changes, revision);
    this.#record(revision, work, changes);
    return outcome;
  }

  /** The keys of the lease, in order. */
  keysOf(id: core.LeaseId): core.ByteString[] {
    const held = this.entriesAt(this.revision).filter((entry) => entry.lease === id);
    return held.map((entry) => entry.key);
  }

  due(): core.LeaseId[] {
    const ended = [...this.leases].filter(([, { deadline }]) => deadline <= this.nowMs);
    return ended.map(([id]) => id);
  }

  /** Leases end in one revision, by expiry or revoke. */
  end(ids: readonly core.LeaseId[], revision: number): void {
    const gone = this.entriesAt(this.revision).filter((entry) => ids.includes(entry.lease));
    const changes = gone.map((entry) => vanish('expire', entry, revision));
    const work = this.entriesAt(this.revision).filter((entry) => !gone.includes(entry));
    for (const id of ids) this.leases.delete(id);
    this.#record(revision, work, changes);
  }

  #record(revision: number, entries: readonly core.Entry[], changes: readonly core.Change[]): void {
    if (changes.length === 0) return;
    this.revision = revision;
    this.#states.push({ from: revision, entries });
    this.log.push(...changes);
  }

  #branch(txn: core.Txn): { succeeded: boolean; operations: readonly core.Operation[] } {
    const entries = this.entriesAt(this.revision);
    const succeeded = (txn.when ?? []).every((check) => holdsIn(entries, check));
    return { succeeded, operations: (succeeded ? txn.apply : txn.otherwise) ?? [] };
  }

  #run(
    txn: core.Txn,
    work: core.Entry[],
    changes: core.Change[],
    revision: number,
  ): Omit<core.Outcome, 'revision'> {
    const { succeeded, operations } = this.#branch(txn);
    const results = operations.map((operation): core.OperationResult => {
      if (operation.type === 'txn')
        return { type: 'txn', ...this.#run(operation.txn, work, changes, revision) };
      if (operation.type === 'read') {
        const entries = operation.at === undefined ? work : this.entriesAt(operation.at);
        return { type: 'read', reading: { revision, ...readIn(entries, operation) } };
      }
      if (operation.type === 'delete') {
        const gone = work.filter((entry) => rangeContains(operation, entry.key));
        for (const entry of gone) work.splice(work.indexOf(entry), 1);
        changes.push(...gone.map((entry) => vanish('delete', entry, revision)));
        return {
          type: 'delete',
          deleted: gone.length,
          ...(operation.previous === true && { previous: gone }),
        };
      }
      const before = work.find((entry) => entry.key === operation.key) ?? null;
      const entry: core.Entry = {
        key: operation.key,
        value: operation.keepValue === true ? (before?.value ?? '') : operation.value,
        createRevision: before?.createRevision ?? revision,
        modRevision: revision,
        version: (before?.version ?? 0) + 1,
        lease: operation.keepLease === true ? (before?.lease ?? 0) : (operation.lease ?? 0),
      };
      if (before !== null) work.splice(work.indexOf(before), 1);
      work.splice(work.filter((other) => other.key < entry.key).length, 0, entry);
      changes.push({ kind: 'put', entry, previous: before });
      return { type: 'put', ...(operation.previous === true && { previous: before }) };
    });
    return { succeeded, results };
  }
}

function vanish(kind: 'delete' | 'expire', previous: core.Entry, revision: number): core.Change {
  const { key } = previous;
  const entry = { key, value: '', createRevision: 0, modRevision: revision, version: 0, lease: 0 };
  return { kind, entry, previous };
}
