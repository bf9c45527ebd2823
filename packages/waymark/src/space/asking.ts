import type { HostLease, UnderLease } from './kept-lease.js';

/**
 * A request that waits for its answer, unless its lease is lost or its space closes first: the place in the queue goes with the lease, and
 * the engine that would say so may be out of reach. One object, as every lock that is taken makes one.
 */
export class Asking<T> implements UnderLease {
  readonly answer: Promise<T>;
  readonly #lease: HostLease;
  readonly #apart: Set<UnderLease> | null;
  /** Its place among those under the lease. */
  #atLease: number;
  #resolve!: (value: T) => void;
  #reject!: (reason: unknown) => void;

  /** @param apart  another set that it is in until it is answered */
  constructor(work: Promise<T>, lease: HostLease, apart: Set<UnderLease> | null) {
    this.#lease = lease;
    this.#apart = apart;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#atLease = lease.losses.add(this);
    apart?.add(this);
    work.then(
      (value) => {
        this.#leave();
        this.#resolve(value);
      },
      (error: unknown) => this.end(error),
    );
  }

  leaseLost(): void {
    this.end(this.#lease.reason);
  }

  end(reason: unknown): void {
    this.#leave();
    this.#reject(reason);
  }

  #leave(): void {
    this.#atLease = this.#lease.losses.remove(this.#atLease);
    this.#apart?.delete(this);
  }
}
