import type { Clock } from 'waymark/engine';

const slabBytes = 65_536;
/** So many wait to be used again; more are left to the collector. */
const slabsKept = 32;

/** What the connections of one transport share: memory to write into, and the end of the turn at which all that was written leaves. */
export class Turn {
  readonly #clock: Clock;
  readonly #slabs: Buffer[] = [];
  #due: Flushed[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  takeSlab(): Buffer {
    return this.#slabs.pop() ?? Buffer.allocUnsafeSlow(slabBytes);
  }

  giveSlab(slab: Buffer): void {
    if (this.#slabs.length < slabsKept) this.#slabs.push(slab);
  }

  /** Has `flushed.flush` called when this turn's events have been handled. Ask once. */
  flush(flushed: Flushed): void {
    if (this.#due.length === 0) this.#clock.nextTurn(this.#run);
    this.#due.push(flushed);
  }

  readonly #run = (): void => {
    const due = this.#due;
    this.#due = [];
    for (const flushed of due) attempt(flushed);
  };
}

/** A handler that throws takes no other connection with it; its error is no one's to handle, and shows as what it is. */
function attempt(flushed: Flushed): void {
  try {
    flushed.flush();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

export interface Flushed {
  flush(): void;
}
