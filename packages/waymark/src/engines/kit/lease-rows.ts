import type { LeaseId } from '../../core/engine.js';

const rowsMin = 64;
const none = -1;

/**
 * Numbers of very many leases in columns: a lease is a row, found by its id. A million objects would be marked by every full garbage
 * collection, and a put beside them would wait for it; typed arrays are no work for it at all. The ids are found by open addressing
 * with linear probing, half full at most; a removed one leaves no mark, those behind it move up (Knuth, volume 3, algorithm 6.4R).
 * Ids that are no safe integers are few, and stand in maps.
 */
export class LeaseRows {
  /** 0 for a row that holds none: it is free, or a list that `next` makes still has it. NaN for one whose id `#wideIds` has. */
  #ids = new Float64Array(rowsMin);
  ttlMs = new Float64Array(rowsMin);
  deadlines = new Float64Array(rowsMin);
  /** For the list that a row stands in; of free rows, theirs. */
  next = new Int32Array(rowsMin);
  size = 0;
  /** By hash: a row, or `none`. */
  #table = new Int32Array(2 * rowsMin).fill(none);
  #free = none;
  /** Rows from here on were never used. */
  #unused = 0;
  readonly #wideRows = new Map<LeaseId, number>();
  readonly #wideIds = new Map<number, LeaseId>();

  /** @returns the row, −1 when there is none, as for what is no id */
  find(id: LeaseId): number {
    if (typeof id === 'number') return this.#table[this.#place(id)] as number;
    return this.#wideRows.get(id) ?? none;
  }

  /** @returns 0 for a row that holds none */
  idOf(row: number): LeaseId {
    const id = this.#ids[row] as number;
    return Number.isNaN(id) ? (this.#wideIds.get(row) as LeaseId) : id;
  }

  /** An id that is not there yet. @returns its row */
  add(id: LeaseId, ttlMs: number, deadline: number): number {
    const row = this.#take();
    this.ttlMs[row] = ttlMs;
    this.deadlines[row] = deadline;
    this.size++;
    if (typeof id === 'number') {
      this.#ids[row] = id;
      this.#table[this.#place(id)] = row;
    } else {
      this.#ids[row] = NaN;
      this.#wideRows.set(id, row);
      this.#wideIds.set(row, id);
    }
    return row;
  }

  /** The row is not used again before it is freed. */
  remove(row: number): void {
    const id = this.idOf(row);
    if (typeof id === 'number') this.#forget(this.#place(id));
    else {
      this.#wideRows.delete(id);
      this.#wideIds.delete(row);
    }
    this.#ids[row] = 0;
    this.size--;
  }

  /** A row that was removed and stands in no list. */
  free(row: number): void {
    this.next[row] = this.#free;
    this.#free = row;
  }

  /** Gives back the room of many, once none is left. */
  clear(): void {
    this.#resize(rowsMin);
    this.#table = new Int32Array(2 * rowsMin).fill(none);
    this.#free = none;
    this.#unused = 0;
    this.size = 0;
  }

  get isLarge(): boolean {
    return this.#ids.length > rowsMin;
  }

  /** The rows that hold a lease. */
  *live(): Generator<number> {
    for (let row = 0; row < this.#unused; row++) if (this.#ids[row] !== 0) yield row;
  }

  #take(): number {
    const row = this.#free;
    if (row !== none) {
      this.#free = this.next[row] as number;
      return row;
    }
    if (this.#unused === this.#ids.length) this.#grow();
    return this.#unused++;
  }

  #grow(): void {
    const rows = 2 * this.#ids.length;
    this.#resize(rows);
    this.#table = new Int32Array(2 * rows).fill(none);
    for (const row of this.live()) {
      const id = this.#ids[row] as number;
      if (!Number.isNaN(id)) this.#table[this.#place(id)] = row;
    }
  }

  #resize(rows: number): void {
    const kept = Math.min(rows, this.#ids.length);
    const copy = <T extends Float64Array | Int32Array>(from: T, to: T): T => {
      to.set(from.subarray(0, kept));
      return to;
    };
    this.#ids = copy(this.#ids, new Float64Array(rows));
    this.ttlMs = copy(this.ttlMs, new Float64Array(rows));
    this.deadlines = copy(this.deadlines, new Float64Array(rows));
    this.next = copy(this.next, new Int32Array(rows));
  }

  /** Where in the table the id is, or would be. */
  #place(id: number): number {
    const mask = this.#table.length - 1;
    let place = hash(id) & mask;
    for (; ; place = (place + 1) & mask) {
      const row = this.#table[place] as number;
      if (row === none || this.#ids[row] === id) return place;
    }
  }

  #forget(place: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = place;
    for (let at = (hole + 1) & mask; table[at] !== none; at = (at + 1) & mask) {
      const home = hash(this.#ids[table[at] as number] as number) & mask;
      // What is at home after the hole stays: moved there, it would not be found.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at] as number;
      hole = at;
    }
    table[hole] = none;
  }
}

/** All 53 bits of an id count: those that callers choose often differ in few. The mixing is MurmurHash3's. */
function hash(id: number): number {
  let mixed = (id | 0) ^ Math.imul((id / 2 ** 32) | 0, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
