import type { Clock } from '../../core/clock.js';

/** Deadlines are rounded up to this, so that those close together end in one timer. */
const grainMs = 100;
/** One turn of the event loop spends at most about this on what is due. */
const turnMsMax = 5;

/** Something that ends at a time which may be put off again and again. */
export interface Due {
  /** On the clock's scale. Renewing only moves it: no timer is touched. */
  deadline: number;
  /** No longer wanted: skipped when its bucket comes up. */
  cancelled: boolean;
}

/**
 * A timer wheel for very many deadlines that are mostly renewed before they come: each stands in the bucket of the deadline it
 * had when it was put there. When a bucket is due, what was renewed meanwhile moves on to its new bucket, so a renewal is one
 * assignment. One timer waits for the earliest bucket; a large bucket is worked off in slices.
 */
export class Deadlines<T extends Due> {
  readonly #clock: Clock;
  readonly #ended: (item: T) => void;
  readonly #buckets = new Map<number, T[]>();
  /** Bucket numbers as a binary heap, least first. */
  readonly #heap: number[] = [];
  #disarm: (() => void) | null = null;
  #armedFor = Infinity;
  #closed = false;

  constructor(clock: Clock, ended: (item: T) => void) {
    this.#clock = clock;
    this.#ended = ended;
  }

  add(item: T): void {
    const bucket = Math.ceil(item.deadline / grainMs);
    const items = this.#buckets.get(bucket);
    if (items !== undefined) items.push(item);
    else {
      this.#buckets.set(bucket, [item]);
      heapPush(this.#heap, bucket);
    }
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#disarm?.();
    this.#buckets.clear();
    this.#heap.length = 0;
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
      const items = this.#buckets.get(bucket) as T[];
      if (!this.#drain(items, turnEnd)) {
        this.#clock.nextTurn(() => this.#run());
        return;
      }
      heapPop(this.#heap);
      this.#buckets.delete(bucket);
    }
    if (!this.#closed) this.#arm();
  }

  /** @returns false when the turn's time was up first */
  #drain(items: T[], turnEnd: number): boolean {
    for (let worked = 1; items.length > 0; worked++) {
      const item = items.pop() as T;
      if (item.cancelled) continue;
      if (item.deadline > this.#clock.now()) this.add(item);
      else this.#ended(item);
      if (worked % 32 === 0 && this.#clock.now() >= turnEnd) return items.length === 0;
    }
    return true;
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
