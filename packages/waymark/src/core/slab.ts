/** Beyond so many places they are given back once all are free. */
const keptMax = 1_024;

/** The place of what is in no slab. */
export const nowhere = -1;

/**
 * What comes and goes often: each knows its place, which the next one takes when it goes.
 *
 * A Set would do, but for the collector: each table that it outgrows points to the next, so the first of them that grows old takes all that
 * ever passed through the Set with it, and that is copied instead of forgotten.
 */
export class Slab<T extends object> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  /** @returns its place */
  add(item: T): number {
    const place = this.#free.pop();
    if (place === undefined) return this.#items.push(item) - 1;
    this.#items[place] = item;
    return place;
  }

  /** @returns `nowhere`, where it is then. Harmless for what is there already. */
  remove(place: number): typeof nowhere {
    if (place === nowhere) return nowhere;
    this.#items[place] = undefined;
    this.#free.push(place);
    if (this.#items.length > keptMax && this.size === 0) {
      this.#items.length = 0;
      this.#free.length = 0;
    }
    return nowhere;
  }

  /** Others may come and go meanwhile; of those that come some are visited. */
  forEach(visit: (item: T, place: number) => void): void {
    for (let place = 0; place < this.#items.length; place++) {
      const item = this.#items[place];
      if (item !== undefined) visit(item, place);
    }
  }
}
