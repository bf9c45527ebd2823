/** What one run of one side measured. `value` is what the line compares: operations/s, or a time in ms. */
export interface Sample {
  readonly value: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly max?: number;
  /** Anything else worth printing. */
  readonly note?: string;
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
  return { min: sorted[0] ?? 0, median, max: sorted.at(-1) ?? 0 };
}

/** `sorted` ascending; q from 0 to 1. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = Math.min(sorted.length - 1, Math.floor(sorted.length * q));
  return sorted[at] ?? 0;
}

/** Latencies, ms: room for `size`, later ones are dropped (the figure says how many were kept). */
export class Latencies {
  readonly #values: Float64Array;
  #count = 0;

  constructor(size = 2_000_000) {
    this.#values = new Float64Array(size);
  }

  add(ms: number): void {
    if (this.#count < this.#values.length) this.#values[this.#count++] = ms;
  }

  get count(): number {
    return this.#count;
  }

  summary(from = 0, to = 1): { p50: number; p99: number; max: number } {
    const part = this.#values
      .slice(Math.floor(this.#count * from), Math.floor(this.#count * to))
      .sort();
    return { p50: quantile(part, 0.5), p99: quantile(part, 0.99), max: part.at(-1) ?? 0 };
  }
}

/** 1 234 567 · 12.3 · 0.0123 */
export function figure(value: number): string {
  if (value >= 1_000)
    return Math.round(value)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, ' ');
  return value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toFixed(4);
}
