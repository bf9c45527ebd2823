import type { ByteString, KeyRange, Operation, Txn } from '../../core/engine.js';
import { rangesOverlap } from '../../core/ranges.js';

/** What a commit reads, checks and writes, whichever branch it takes. */
export interface Footprint {
  readonly reads: readonly KeyRange[];
  readonly writes: readonly KeyRange[];
}

export function footprintOf(txn: Txn): Footprint {
  const footprint = { reads: [] as KeyRange[], writes: [] as KeyRange[] };
  collect(txn, footprint);
  return footprint;
}

function collect(txn: Txn, into: { reads: KeyRange[]; writes: KeyRange[] }): void {
  for (const check of txn.when ?? []) into.reads.push(check);
  for (const branch of [txn.apply ?? [], txn.otherwise ?? []]) {
    for (const operation of branch) collectOperation(operation, into);
  }
}

function collectOperation(
  operation: Operation,
  into: { reads: KeyRange[]; writes: KeyRange[] },
): void {
  if (operation.type === 'txn') collect(operation.txn, into);
  else if (operation.type === 'read') into.reads.push(operation);
  else into.writes.push(operation);
}

/** The footprints of commits that are together, or on their way. */
export class Footprints {
  readonly #reads = new RangeBag();
  readonly #writes = new RangeBag();

  add({ reads, writes }: Footprint): void {
    for (const range of reads) this.#reads.add(range);
    for (const range of writes) this.#writes.add(range);
  }

  remove({ reads, writes }: Footprint): void {
    for (const range of reads) this.#reads.remove(range);
    for (const range of writes) this.#writes.remove(range);
  }

  /** Whether one of them writes what this commit reads, checks or writes, or the other way round. */
  conflictsWith({ reads, writes }: Footprint): boolean {
    for (const range of writes) {
      if (this.#writes.overlaps(range) || this.#reads.overlaps(range)) return true;
    }
    for (const range of reads) if (this.#writes.overlaps(range)) return true;
    return false;
  }
}

/** Single keys by hash, and the ranges, of which there are few. */
class RangeBag {
  readonly #keys = new Map<ByteString, number>();
  readonly #ranges: KeyRange[] = [];

  add(range: KeyRange): void {
    if (range.end !== undefined) this.#ranges.push(range);
    else this.#keys.set(range.key, (this.#keys.get(range.key) ?? 0) + 1);
  }

  remove(range: KeyRange): void {
    if (range.end !== undefined) {
      this.#ranges.splice(this.#ranges.indexOf(range), 1);
      return;
    }
    const count = this.#keys.get(range.key) ?? 0;
    if (count > 1) this.#keys.set(range.key, count - 1);
    else this.#keys.delete(range.key);
  }

  overlaps(range: KeyRange): boolean {
    for (const other of this.#ranges) if (rangesOverlap(range, other)) return true;
    if (range.end === undefined) return this.#keys.has(range.key);
    for (const key of this.#keys.keys()) if (rangesOverlap(range, { key })) return true;
    return false;
  }
}
