import type { ByteString, KeyRange, Operation, Txn } from '../../core/engine.js';
import { rangeContains, rangesOverlap } from '../../core/ranges.js';

/** What a commit reads, checks and writes, whichever branch it takes. */
export interface Footprint {
  readonly reads: readonly KeyRange[];
  readonly writes: readonly KeyRange[];
}

const nothing: readonly KeyRange[] = [];

export function footprintOf(txn: Txn): Footprint {
  const { when = nothing, apply, otherwise } = txn;
  const only = apply?.length === 1 && otherwise === undefined ? apply[0] : undefined;
  if (only?.type === 'put') return { reads: when, writes: [only] };
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

/** So many ranges are remembered as having been asked about. */
const askedMax = 16;

/** Single keys by hash, and the ranges, of which there are few: that commits share a check is known by its being the same object. */
class RangeBag {
  readonly #keys = new Map<ByteString, number>();
  readonly #ranges = new Map<KeyRange, number>();
  /** Of ranges that were asked about, how many of the keys are in them. */
  readonly #asked = new Map<KeyRange, number>();

  add(range: KeyRange): void {
    if (range.end !== undefined) count(this.#ranges, range, 1);
    else if (count(this.#keys, range.key, 1) === 1) this.#recount(range.key, 1);
  }

  remove(range: KeyRange): void {
    if (range.end !== undefined) count(this.#ranges, range, -1);
    else if (count(this.#keys, range.key, -1) === 0) this.#recount(range.key, -1);
  }

  overlaps(range: KeyRange): boolean {
    if (this.#ranges.size > 0) {
      for (const other of this.#ranges.keys()) if (rangesOverlap(range, other)) return true;
    }
    if (this.#keys.size === 0) return false;
    if (range.end === undefined) return this.#keys.has(range.key);
    return (this.#asked.get(range) ?? this.#ask(range)) > 0;
  }

  #ask(range: KeyRange): number {
    let inside = 0;
    for (const key of this.#keys.keys()) if (rangeContains(range, key)) inside++;
    if (this.#asked.size >= askedMax) this.#asked.clear();
    this.#asked.set(range, inside);
    return inside;
  }

  #recount(key: ByteString, by: number): void {
    if (this.#asked.size === 0) return;
    for (const [range, inside] of this.#asked) {
      if (rangeContains(range, key)) this.#asked.set(range, inside + by);
    }
  }
}

/** @returns how often it is there now; what is there no more is forgotten */
function count<T>(counts: Map<T, number>, what: T, by: number): number {
  const now = (counts.get(what) ?? 0) + by;
  if (now === 0) counts.delete(what);
  else counts.set(what, now);
  return now;
}
