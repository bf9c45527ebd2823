import type { Lease, LeaseId } from '../../core/engine.js';
import type { WaymarkError } from '../../core/errors.js';
import { overloaded } from './refusals.js';
import { defaultSocketLimits, type ServeOptions, type SocketLimits } from './serve-options.js';

/** What a call does to what its client has. */
export type Claim = 'lease' | 'revoke' | 'lock' | 'unlock';

export type ClaimLimits = Pick<SocketLimits, 'leasesMax' | 'locksMax'>;

type ClaimOptions = Pick<ServeOptions, 'locksUnder' | 'clock'> & {
  readonly limits?: Partial<ClaimLimits> | undefined;
};

const recountMs = 1_000;

/**
 * How many leases and locks one client has. Calls are counted as they come and are answered, which costs next to nothing but
 * misses what ends otherwise: leases by their TTL, locks with their lease or by force. So at a limit what is there is looked up, at most once
 * a second, and a client that comes back has its room.
 */
export class Claims {
  readonly #options: ClaimOptions;
  readonly #limits: ClaimLimits;
  /** That were granted here, or that locks were taken under. */
  readonly #leases = new Set<LeaseId>();
  #locks = 0;
  readonly #asked = { lease: 0, lock: 0 };
  #counting = false;

  constructor(options: ClaimOptions) {
    this.#options = options;
    this.#limits = { ...defaultSocketLimits, ...options.limits };
  }

  /** @returns why not; null: it may, and `settle` is told what came of it */
  begin(claim: Claim, args: unknown): WaymarkError | null {
    const { leasesMax, locksMax } = this.#limits;
    if (claim === 'lease') {
      if (this.#leases.size + this.#asked.lease >= leasesMax) return this.#full({ leasesMax });
      this.#asked.lease++;
    } else if (claim === 'lock') {
      if (this.#locks + this.#asked.lock >= locksMax) return this.#full({ locksMax });
      this.#asked.lock++;
      this.#leases.add((args as { request: { lease: LeaseId } }).request.lease);
    } else if (claim === 'revoke') this.#leases.delete(args as LeaseId);
    return null;
  }

  /** @param value  what the call came to; undefined: it failed */
  settle(claim: Claim, value: unknown): void {
    if (claim === 'lease') {
      this.#asked.lease--;
      if (value !== undefined) this.#leases.add((value as Lease).id);
    } else if (claim === 'lock') {
      this.#asked.lock--;
      if (typeof value === 'number') this.#locks++;
    } else if (claim === 'unlock' && value === true && this.#locks > 0) this.#locks--;
  }

  #full(passed: Readonly<Record<string, number>>): WaymarkError {
    if (!this.#counting) {
      this.#counting = true;
      const again = (): void => void (this.#counting = false);
      const later = (): void => void this.#options.clock.after(recountMs, again);
      // What cannot be looked up stays counted.
      this.#recount().then(later, later);
    }
    return overloaded(passed);
  }

  async #recount(): Promise<void> {
    const { locksUnder } = this.#options;
    if (locksUnder === undefined) return;
    const before = this.#locks;
    let found = 0;
    for (const id of [...this.#leases]) {
      const locks = await locksUnder(id);
      if (locks === null) this.#leases.delete(id);
      else found += locks;
    }
    // With what came and went meanwhile.
    this.#locks = Math.max(0, found + this.#locks - before);
  }
}
