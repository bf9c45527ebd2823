import type { Change, ChangeKind, Entry, Revision } from '../../core/engine.js';
import type { Slot } from './slot.js';

/** Bytes a change is counted with, beside its key and value, against the history's budget. */
const overheadBytes = 160;

/** One change as history keeps it; the shapes that watches deliver are made once and shared by all of them. */
export class Recorded {
  readonly kind: ChangeKind;
  readonly entry: Entry;
  readonly slot: Slot;
  /** The entry's modRevision and what the change counts: here, so that dropping it need not look into cold memory. */
  readonly revision: Revision;
  readonly bytes: number;
  /** The live entry it replaced. */
  previous: Entry | null;
  /** The same key's change before, while history holds this one. */
  before: Recorded | null;
  /** Made when a watch first asks; plain fields, as private ones cost a look-up each. */
  private plain: Change | undefined = undefined;
  private full: Change | undefined = undefined;

  constructor(kind: ChangeKind, entry: Entry, previous: Entry | null, slot: Slot) {
    this.kind = kind;
    this.entry = entry;
    this.slot = slot;
    this.revision = entry.modRevision;
    this.bytes = overheadBytes + entry.key.length + entry.value.length;
    this.previous = previous;
    this.before = slot.newest;
  }

  change(withPrevious: boolean): Change {
    if (!withPrevious) return (this.plain ??= { kind: this.kind, entry: this.entry });
    return (this.full ??= { kind: this.kind, entry: this.entry, previous: this.previous });
  }

  /** Lets go of what only a look below this change could see. */
  forgetOlder(): void {
    this.previous = null;
    this.before = null;
  }
}

/**
 * Every change since the compaction point, in order. Positions count all changes ever recorded, so they stay valid while
 * the front is dropped.
 */
export class History {
  #records: Recorded[] = [];
  /** Records at the front of the array that are dropped already; cut off now and then. */
  #dropped = 0;
  /** The position of the array's first element. */
  #base = 0;
  bytes = 0;

  get start(): number {
    return this.#base + this.#dropped;
  }

  get end(): number {
    return this.#base + this.#records.length;
  }

  at(position: number): Recorded {
    return this.#records[position - this.#base] as Recorded;
  }

  push(record: Recorded): void {
    this.#records.push(record);
    this.bytes += record.bytes;
  }

  oldest(): Recorded | undefined {
    return this.#records[this.#dropped];
  }

  dropOldest(): void {
    const record = this.#records[this.#dropped];
    if (record === undefined) return;
    this.#dropped++;
    this.bytes -= record.bytes;
    if (this.#dropped >= 8_192 && this.#dropped * 4 >= this.#records.length) this.#cut();
  }

  /** The position of the first change after `revision`. */
  positionAfter(revision: Revision): number {
    let low = this.#dropped;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#records[middle] as Recorded).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#base + low;
  }

  #cut(): void {
    this.#records = this.#records.slice(this.#dropped);
    this.#base += this.#dropped;
    this.#dropped = 0;
  }
}
