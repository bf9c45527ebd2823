import { type Clock, validateWholeNumber, WaymarkError } from 'waymark/engine';

export interface RateOptions {
  /** Calls a second. */
  readonly perSecond: number;
  /** Calls at once after a pause. Default twice `perSecond`. */
  readonly burst?: number | undefined;
}

/** Of a client that is known by its token, unless another is given. */
export const defaultRate: RateOptions = { perSecond: 1_000 };

interface Bucket {
  tokens: number;
  at: number;
}

/** Beyond these the one that was made first is forgotten, and full again. */
const identitiesMax = 65_536;

/** How often each client may call: a bucket of tokens for each, so that one that asks too much costs the others nothing. */
export class Rates {
  /** Calls refused so far. */
  refused = 0;
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, Bucket>();

  /** @throws {WaymarkError} `invalid` */
  constructor(clock: Clock, { perSecond, burst = 2 * perSecond }: RateOptions) {
    for (const [name, value] of Object.entries({ perSecond, burst })) {
      validateWholeNumber(name, value);
      if (value < 1) throw new WaymarkError('invalid', `rate: ${name} is at least 1`);
    }
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** @returns why not; null: it may call */
  spend(identity: string): WaymarkError | null {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(identity) ?? this.#begin(identity, now);
    const earned = ((now - bucket.at) * this.#perSecond) / 1_000;
    bucket.tokens = Math.min(this.#burst, bucket.tokens + earned);
    bucket.at = now;
    if (bucket.tokens >= 1) {
      bucket.tokens--;
      return null;
    }
    this.refused++;
    const max = this.#perSecond;
    const retryAfterMs = Math.ceil(((1 - bucket.tokens) * 1_000) / max);
    const text = `more than ${max} calls a second of one client`;
    return new WaymarkError('overloaded', text, { limit: 'rate.perSecond', max, retryAfterMs });
  }

  #begin(identity: string, now: number): Bucket {
    if (this.#buckets.size >= identitiesMax) {
      const [first] = this.#buckets.keys();
      this.#buckets.delete(first as string);
    }
    const bucket = { tokens: this.#burst, at: now };
    this.#buckets.set(identity, bucket);
    return bucket;
  }
}
