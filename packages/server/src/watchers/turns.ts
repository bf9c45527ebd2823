/**
 * How many tries are under way at once. Endpoints that fail wait among themselves: a hundred that hang take no turn from the others.
 */
export class Turns {
  readonly #good: Gate;
  readonly #failing: Gate;

  constructor(max: { readonly good: number; readonly failing: number }) {
    this.#good = new Gate(max.good);
    this.#failing = new Gate(max.failing);
  }

  /** @returns gives the turn back. @throws the signal's reason when it aborts first */
  enter(failing: boolean, signal: AbortSignal): Promise<() => void> {
    return (failing ? this.#failing : this.#good).enter(signal);
  }
}

class Gate {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.#free = max;
  }

  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    let given = true;
    return () => {
      if (!given) return;
      given = false;
      this.#leave();
    };
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(granted);
        reject(signal.reason as Error);
      };
      const granted = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      this.#waiting.add(granted);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
