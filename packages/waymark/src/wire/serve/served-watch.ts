import type { Batch } from '../../core/engine.js';
import { type BatchSink, pull } from '../../core/batch-sink.js';
import type { Clock } from '../../core/clock.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import type { Outlet } from './outlet.js';

export interface ServedWatchParts {
  readonly id: number;
  readonly batches: AsyncIterator<Batch>;
  readonly outlet: Outlet;
  readonly clock: Clock;
  /** It has ended, by an error or, with null, by itself. */
  readonly over: (failure: { readonly error: unknown } | null) => void;
}

/**
 * One watch of a client. It stands still while the client reads slower than it is told: a cursor over history, which costs no
 * memory. What is at hand at once is history to catch up with: a batch a turn, so that others get theirs.
 */
export class ServedWatch implements BatchSink {
  readonly #parts: ServedWatchParts;
  #pulling = false;

  constructor(parts: ServedWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#next();
  }

  batch(batch: Batch): void {
    const { outlet, id, clock, batches } = this.#parts;
    try {
      outlet.batch(id, batch);
    } catch (error) {
      void batches.return?.();
      return this.failed(isWaymarkError(error, 'too_large') ? untold(batch) : error);
    }
    if (this.#pulling) clock.nextTurn(this.#next);
    else this.#next();
  }

  ended(): void {
    this.#parts.over(null);
  }

  failed(error: unknown): void {
    this.#parts.over({ error });
  }

  readonly #next = (): void => {
    const { outlet, batches } = this.#parts;
    if (outlet.congested) return outlet.whenFree(this.#next);
    this.#pulling = true;
    pull(batches, this);
    this.#pulling = false;
  };
}

/** What changed in one revision, with what was there before, has no room in a message: who watches reads the present, and goes on from there. */
function untold({ revision }: Batch): WaymarkError {
  const text = `what changed up to revision ${revision} is more than a message holds: read what is there, and go on after it`;
  return new WaymarkError('compacted', text, { compacted: revision });
}
