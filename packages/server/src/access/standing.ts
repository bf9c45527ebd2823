import { type Clock, type JoinedSignal, joinedSignal, WaymarkError } from 'waymark/engine';

/** What lasts longer than a call, and is looked at again when rules change. */
export interface Stay {
  /** Throws when it is not permitted any more. */
  readonly check: () => void;
  readonly end: (error: unknown) => void;
}

/** So often it is looked whether a token has ended meanwhile. */
const lookMs = 400;

/** What is open: watches, calls that wait, connections. */
export class Standing {
  readonly #clock: Clock;
  readonly #ends: () => boolean;
  readonly #stays = new Set<Stay>();
  #disarm: (() => void) | null = null;

  /** @param ends  whether time alone could end what is permitted */
  constructor(clock: Clock, ends: () => boolean) {
    this.#clock = clock;
    this.#ends = ends;
  }

  get size(): number {
    return this.#stays.size;
  }

  /** @returns leaves */
  add(stay: Stay): () => void {
    this.#stays.add(stay);
    this.#arm();
    return () => {
      this.#stays.delete(stay);
      if (this.#stays.size === 0) this.#stop();
    };
  }

  /** Ends what is not permitted any more. */
  readonly look = (): void => {
    this.#stop();
    for (const stay of this.#stays) {
      try {
        stay.check();
      } catch (error) {
        this.#stays.delete(stay);
        stay.end(error);
      }
    }
    this.#arm();
  };

  #arm(): void {
    if (this.#disarm !== null || this.#stays.size === 0 || !this.#ends()) return;
    this.#disarm = this.#clock.after(lookMs, this.look);
  }

  #stop(): void {
    this.#disarm?.();
    this.#disarm = null;
  }

  close(): void {
    this.#stop();
    this.#stays.clear();
  }
}

/** A signal that aborts with another one, and when something is not permitted any more. */
export function endable(signal: AbortSignal | undefined): JoinedSignal {
  const joined = joinedSignal(signal);
  const denied = (): WaymarkError => new WaymarkError('denied', 'not permitted any more');
  return { ...joined, end: (error) => joined.end(error ?? denied()) };
}
