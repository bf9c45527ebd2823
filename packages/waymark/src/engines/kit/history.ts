import type { Change, ChangeKind, Entry, Revision } from '../../core/engine.js';
import type { Slot } from './slot.js';

/** One change as history keeps it; the shapes that watches deliver are made once and shared by all of them. */
export class Recorded {
  readonly kind: ChangeKind;
  readonly entry: Entry;
  readonly previous: Entry | null;
  readonly slot: Slot;
  /** Made when a watch first asks; plain fields, as private ones cost a look-up each. */
  private plain: Change | undefined = undefined;
  private full: Change | undefined = undefined;

  constructor(kind: ChangeKind, entry: Entry, previous: Entry | null, slot: Slot) {
    this.kind = kind;
    this.entry = entry;
    this.previous = previous;
    this.slot = slot;
  }

  change(withPrevious: boolean): Change {
    if (!withPrevious) return (this.plain ??= { kind: this.kind, entry: this.entry });
    return (this.full ??= { kind: this.kind, entry: this.entry, previous: this.previous });
  }
}

/** Bytes a change is counted with, beside its key and value, against the history's budget. */
const recordOverheadBytes = 160;

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
    this.bytes += recordBytes(record);
  }

  oldest(): Recorded | undefined {
    return this.#records[this.#dropped];
  }

  dropOldest(): Recorded | undefined {
    const record = this.#records[this.#dropped];
    if (record === undefined) return undefined;
    this.#dropped++;
    this.bytes -= recordBytes(record);
    if (this.#dropped >= 8_192 && this.#dropped * 4 >= this.#records.length) this.#cut();
    return record;
  }

  /** The position of the first change after `revision`. */
  positionAfter(revision: Revision): number {
    let low = this.#dropped;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#records[middle] as Recorded).entry.modRevision <= revision) low = middle + 1;
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

function recordBytes(record: Recorded): number {
  return recordOverheadBytes + record.entry.key.length + record.entry.value.length;
}
