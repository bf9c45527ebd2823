/** A generator that a seed determines (mulberry32), so that a failing run can be replayed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

/** `SEED=n` replays; else a new one each run. Prints how to come back to it. */
export function chooseSeed(testFile: string): number {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}; replay: SEED=${seed} npx vitest run ${testFile}`);
  return seed;
}

/** The long form is `WAYMARK_LONG=1`. */
export function sized<T>(short: T, long: T): T {
  return process.env['WAYMARK_LONG'] === '1' ? long : short;
}
