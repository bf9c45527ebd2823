import { setTimeout as rest } from 'node:timers/promises';
import type { StashIndex } from 'waymark';
import type { SeededRandom } from './random.js';

const atOnce = 20;
/** A call has so long: what takes longer is asked again, and counts as one outage from the first try on. */
const deadlineMs = 5_000;

type Index = () => StashIndex<number>;

/**
 * The set-full workload: writers add numbers that were never there before, some of which are deleted again; readers ask for those that were acknowledged, all the while. What is acknowledged
 * has to be read from then on, and what was deleted never again.
 */
export class SetLoad implements AsyncDisposable {
  /** Acknowledged, and nobody was asked to delete them. */
  readonly added: number[] = [];
  /** Acknowledged as deleted. */
  readonly deleted: number[] = [];
  /** How long each key had to wait at the longest, for its read and for its write, in ms. */
  readonly readMs = new Map<number, number>();
  readonly writeMs = new Map<number, number>();
  /** What was read and should not have been, or the other way round. */
  readonly wrong: string[] = [];
  /** Writers rest while it is set. */
  rests = false;
  reads = 0;
  /** Tries that were not acknowledged. */
  failures = 0;
  readonly #random: SeededRandom;
  readonly #deletesOf100: number;
  readonly #restMs: number;
  readonly #running: Promise<void>[] = [];
  #next = 0;
  #over = false;

  /** @param options.restMs  of each of them, between two calls */
  constructor(random: SeededRandom, { deletesOf100 = 0, restMs = 20 } = {}) {
    this.#random = random;
    this.#restMs = restMs;
    this.#deletesOf100 = deletesOf100;
  }

  get tried(): number {
    return this.#next;
  }

  write(index: Index): void {
    this.#running.push(this.#loop(() => this.#add(index)));
  }

  read(index: Index): void {
    this.#running.push(this.#loop(() => this.#look(index)));
  }

  /** A test that fails ends it, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
  }

  /** Reads all of it once more. */
  async verify(index: StashIndex<number>): Promise<void> {
    for (let at = 0; at < this.added.length; at += 1_000) {
      const part = this.added.slice(at, at + 1_000);
      this.#compare(part, await index.getMany(part), false);
    }
    for (let at = 0; at < this.deleted.length; at += 1_000) {
      const part = this.deleted.slice(at, at + 1_000);
      this.#compare(part, await index.getMany(part), true);
    }
  }

  async #loop(step: () => Promise<void>): Promise<void> {
    while (!this.#over) {
      await step();
      await rest(this.#restMs);
    }
  }

  async #add(index: Index): Promise<void> {
    if (this.rests) return;
    const first = this.#next;
    this.#next += atOnce;
    const part = Array.from({ length: atOnce }, (_, n) => first + n);
    const entries = part.map((n) => [n, n] as const);
    const put = (): Promise<unknown> => index().putMany(entries, { deadlineMs });
    if (!(await this.#insist(part, this.writeMs, put))) return;
    const going = part.filter(() => this.#random.below(100) < this.#deletesOf100);
    this.added.push(...part.filter((n) => !going.includes(n)));
    if (going.length === 0) return;
    const deletion = (): Promise<unknown> => index().deleteMany(going, { deadlineMs });
    if (await this.#insist(going, this.writeMs, deletion)) this.deleted.push(...going);
  }

  async #look(index: Index): Promise<void> {
    for (const [from, gone] of [
      [this.added, false],
      [this.deleted, true],
    ] as const) {
      if (from.length === 0) continue;
      const part = Array.from({ length: 2 * atOnce }, () => this.#random.pick(from));
      const read = (): Promise<unknown> =>
        index()
          .getMany(part, { deadlineMs })
          .then((found) => this.#compare(part, found, gone));
      if (await this.#insist(part, this.readMs, read)) this.reads += part.length;
    }
  }

  /** Until it is answered, or the load ends. */
  async #insist(
    keys: readonly number[],
    took: Map<number, number>,
    call: () => Promise<unknown>,
  ): Promise<boolean> {
    const began = performance.now();
    let done = false;
    while (!done && !this.#over) {
      done = await call().then(
        () => true,
        () => false,
      );
      if (!done) this.failures++;
    }
    const ms = performance.now() - began;
    for (const key of keys) took.set(key, Math.max(took.get(key) ?? 0, ms));
    return done;
  }

  #compare(keys: readonly number[], found: readonly (number | undefined)[], gone: boolean): void {
    for (const [at, key] of keys.entries()) {
      const wanted = gone ? undefined : key;
      if (found[at] === wanted) continue;
      this.wrong.push(`${key} is ${String(found[at])}, should be ${String(wanted)}`);
    }
  }
}

/** The value below which so many of 100 are. */
export function percentile(of: Iterable<number>, percent: number): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}

/** Whole ms: p99 of all keys, and the longest. */
export function waits(ms: ReadonlyMap<number, number>): string {
  const values = [...ms.values()];
  const longest = values.reduce((most, one) => Math.max(most, one), 0);
  return `p99 ${Math.round(percentile(values, 99))} ms, longest ${Math.round(longest)} ms`;
}
