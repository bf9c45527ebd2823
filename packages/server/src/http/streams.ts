import { type Space, WaymarkError } from 'waymark';
import type { Clock } from 'waymark/engine';
import type { ReaderCursors } from './cursors.js';

/** What every kind of watch stream needs. */
export interface WatchParts {
  readonly space: Space;
  readonly clock: Clock;
  /** Aborts when the server stops: streams end, and say that it is worth coming back. */
  readonly stopping: AbortSignal;
  readonly heartbeatMs: number;
  readonly streams: StreamCount;
  readonly cursors: ReaderCursors;
}

/** Streams that are open, and messages under way, with a bound on all of them. */
export class StreamCount {
  readonly #max: number;
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get open(): number {
    return this.#open;
  }

  /** @returns leaves, once @throws {WaymarkError} `overloaded` */
  enter(face: string): () => void {
    if (this.#open >= this.#max) {
      const facts = { limit: 'streamsMax', max: this.#max, retryAfterMs: 1_000 };
      throw new WaymarkError(
        'overloaded',
        `${this.#max} streams are open: no more over ${face}`,
        facts,
      );
    }
    this.#open++;
    let left = false;
    return () => {
      if (!left) this.#open--;
      left = true;
    };
  }
}

/** Runs `beat` every so often. @returns stops it */
export function repeat(clock: Clock, everyMs: number, beat: () => void): () => void {
  let disarm: () => void = () => {};
  const arm = (): void => {
    disarm = clock.after(everyMs, () => {
      beat();
      arm();
    });
  };
  arm();
  return () => disarm();
}
