import type { ByteString } from '../../core/engine.js';

export interface Interval<T> {
  readonly key: ByteString;
  /** Exclusive; '' for no bound. */
  readonly end: ByteString;
  readonly owner: T;
}

/**
 * Which of many ranges hold a key: a balanced tree laid over the ranges sorted by start, each node knowing the furthest
 * end below it (Cormen et al., Introduction to Algorithms, "Interval trees"). It is built when first asked after a
 * change, which suits ranges that are watched for long.
 */
export class Intervals<T> {
  readonly #all = new Set<Interval<T>>();
  #sorted: Interval<T>[] | undefined;
  #furthest: ByteString[] = [];

  get size(): number {
    return this.#all.size;
  }

  add(interval: Interval<T>): void {
    this.#all.add(interval);
    this.#sorted = undefined;
  }

  delete(interval: Interval<T>): void {
    if (this.#all.delete(interval)) this.#sorted = undefined;
  }

  /** Calls `found` with the owner of each interval that holds `key`. */
  stab(key: ByteString, found: (owner: T) => void): void {
    if (this.#all.size === 0) return;
    if (this.#sorted === undefined) this.#build();
    this.#visit(0, this.#all.size, key, found);
  }

  #build(): void {
    this.#sorted = [...this.#all].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.#furthest = new Array<ByteString>(this.#sorted.length).fill('');
    this.#measure(0, this.#sorted.length);
  }

  /** The furthest end among [low, high), stored at its middle; '' stands for no bound and is the furthest of all. */
  #measure(low: number, high: number): ByteString | undefined {
    if (low >= high) return undefined;
    const middle = (low + high) >> 1;
    const own = ((this.#sorted as Interval<T>[])[middle] as Interval<T>).end;
    const furthest = further(
      further(own, this.#measure(low, middle)),
      this.#measure(middle + 1, high),
    );
    this.#furthest[middle] = furthest;
    return furthest;
  }

  #visit(low: number, high: number, key: ByteString, found: (owner: T) => void): void {
    if (low >= high) return;
    const middle = (low + high) >> 1;
    const furthest = this.#furthest[middle] as ByteString;
    if (furthest !== '' && furthest <= key) return;
    this.#visit(low, middle, key, found);
    const interval = (this.#sorted as Interval<T>[])[middle] as Interval<T>;
    if (interval.key > key) return;
    if (interval.end === '' || key < interval.end) found(interval.owner);
    this.#visit(middle + 1, high, key, found);
  }
}

function further(a: ByteString, b: ByteString | undefined): ByteString {
  if (b === undefined || a === '') return a;
  return b === '' || b > a ? b : a;
}
