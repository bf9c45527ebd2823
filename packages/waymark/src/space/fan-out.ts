import { Bell } from '../core/bell.js';

/** So many parts the fastest is ahead of the slowest. */
const aheadMax = 64;

/** One iterable read by many, each from its beginning: what the slowest has not had yet is kept, and no more than that is asked for. */
export class FanOut<T> {
  readonly #source: AsyncIterator<T> | Iterator<T>;
  readonly #bell = new Bell();
  readonly #places = new Set<{ at: number }>();
  #kept: T[] = [];
  /** The number of the first that is kept. */
  #first = 0;
  #done = false;
  #failure: { readonly error: unknown } | null = null;
  #asking = false;

  constructor(parts: AsyncIterable<T> | Iterable<T>) {
    this.#source =
      Symbol.asyncIterator in parts ? parts[Symbol.asyncIterator]() : parts[Symbol.iterator]();
  }

  /** What the source threw. */
  get failure(): { readonly error: unknown } | null {
    return this.#failure;
  }

  /** To be called for each before the first is read. One that was not read to its end must be left. */
  branch(): AsyncIterableIterator<T> & { readonly return: () => Promise<IteratorResult<T>> } {
    const place = { at: 0 };
    this.#places.add(place);
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => this.#next(place),
      return: async () => {
        this.#leave(place);
        return { value: undefined, done: true };
      },
    };
  }

  async #next(place: { at: number }): Promise<IteratorResult<T>> {
    const there = (): boolean => place.at < this.#first + this.#kept.length;
    const mayAsk = (): boolean => !this.#asking && this.#kept.length < aheadMax;
    while (!there() && !this.#done) {
      if (mayAsk()) await this.#ask();
      else await this.#bell.until(() => there() || this.#done || mayAsk());
    }
    if (there()) {
      const value = this.#kept[place.at - this.#first] as T;
      place.at++;
      this.#forget();
      return { value, done: false };
    }
    this.#places.delete(place);
    if (this.#failure !== null) throw this.#failure.error;
    return { value: undefined, done: true };
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    try {
      const step = await this.#source.next();
      if (step.done === true) this.#done = true;
      else this.#kept.push(step.value);
    } catch (error) {
      this.#done = true;
      this.#failure = { error };
    }
    this.#asking = false;
    this.#bell.ring();
  }

  #forget(): void {
    const slowest = Math.min(...[...this.#places].map(({ at }) => at));
    if (slowest <= this.#first) return;
    this.#kept.splice(0, slowest - this.#first);
    this.#first = slowest;
    this.#bell.ring();
  }

  #leave(place: { at: number }): void {
    this.#places.delete(place);
    if (this.#places.size > 0) return this.#forget();
    if (this.#done) return;
    this.#done = true;
    this.#bell.ring();
    const left = async (): Promise<void> => void (await this.#source.return?.());
    left().catch(() => undefined);
  }
}
