import type { Clock } from '../../core/clock.js';
import type { LeaseRows } from './lease-rows.js';

/** Deadlines are rounded up to this, so that those close together end in one timer. */
const grainMs = 100;
/** One turn of the event loop spends at most about this on what is due. */
const turnMsMax = 5;
const none = -1;

/**
 * A timer wheel for very many deadlines that are mostly renewed before they come: each row stands in the bucket of the deadline it
 * had when it was put there. When a bucket is due, what was renewed meanwhile moves on to its new bucket, so a renewal is one
 * assignment. A bucket is a list through the rows' `next`. One timer waits for the earliest; a large one is worked off in slices.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #rows: LeaseRows;
  readonly #due: (row: number) => void;
  /** The first row of each bucket; `none` when all are worked off. */
  readonly #buckets = new Map<number, number>();
  /** Bucket numbers as a binary heap, least first. */
  readonly #heap: number[] = [];
  #disarm: (() => void) | null = null;
  #armedFor = Infinity;
  #closed = false;

  /** @param due  told of each row once its bucket has come: it stands in none then */
  constructor(clock: Clock, rows: LeaseRows, due: (row: number) => void) {
    this.#clock = clock;
    this.#rows = rows;
    this.#due = due;
  }

  add(row: number): void {
    const { deadlines, next } = this.#rows;
    const bucket = Math.ceil((deadlines[row] as number) / grainMs);
    const first = this.#buckets.get(bucket);
    next[row] = first ?? none;
    this.#buckets.set(bucket, row);
    if (first === undefined) heapPush(this.#heap, bucket);
    this.#arm();
  }

  /** Forgets all rows. */
  clear(): void {
    this.#buckets.clear();
    this.#heap.length = 0;
  }

  close(): void {
    this.#closed = true;
    this.#disarm?.();
    this.clear();
  }

  #arm(): void {
    const next = this.#heap[0];
    if (next === undefined || next >= this.#armedFor) return;
    this.#disarm?.();
    this.#armedFor = next;
    this.#disarm = this.#clock.after(next * grainMs - this.#clock.now(), () => {
      this.#armedFor = Infinity;
      this.#disarm = null;
      this.#run();
    });
  }

  #run(): void {
    const turnEnd = this.#clock.now() + turnMsMax;
    while (!this.#closed) {
      const bucket = this.#heap[0];
      if (bucket === undefined || bucket * grainMs > this.#clock.now()) break;
      if (!this.#drain(bucket, turnEnd)) {
        this.#clock.nextTurn(() => this.#run());
        return;
      }
      heapPop(this.#heap);
      this.#buckets.delete(bucket);
    }
    if (!this.#closed) this.#arm();
  }

  /** @returns false when the turn's time was up first */
  #drain(bucket: number, turnEnd: number): boolean {
    for (let worked = 1; ; worked++) {
      const row = this.#buckets.get(bucket) ?? none;
      if (row === none) return true;
      this.#buckets.set(bucket, this.#rows.next[row] as number);
      this.#due(row);
      if (worked % 32 === 0 && this.#clock.now() >= turnEnd) return false;
    }
  }
}

function heapPush(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as number) <= value) break;
    heap[at] = heap[parent] as number;
    at = parent;
  }
  heap[at] = value;
}

function heapPop(heap: number[]): void {
  const value = heap.pop();
  if (value === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= value) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = value;
}
