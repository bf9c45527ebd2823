import {
  askForBookmark,
  type Batch,
  type BatchSink,
  type DirectBatches,
  nextOf,
  pull,
} from 'waymark/engine';

export interface GuardedWatchParts {
  readonly batches: AsyncIterator<Batch>;
  /** What of a batch is told; null: nothing. */
  readonly keep: ((batch: Batch) => Batch | null) | undefined;
  /** Called once, when it is over. */
  readonly over: () => void;
}

/** A watch that is ended from outside by its signal, and whose batches may be cut. Batches pass without a promise. */
export class GuardedWatch implements AsyncIterableIterator<Batch>, DirectBatches, BatchSink {
  readonly #parts: GuardedWatchParts;
  #waiting: BatchSink | null = null;

  constructor(parts: GuardedWatchParts) {
    this.#parts = parts;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Batch>> {
    return nextOf(this);
  }

  async return(): Promise<IteratorResult<Batch>> {
    this.#parts.over();
    await this.#parts.batches.return?.();
    return { value: undefined, done: true };
  }

  pull(sink: BatchSink): void {
    this.#waiting = sink;
    pull(this.#parts.batches, this);
  }

  owe(): void {
    askForBookmark(this.#parts.batches);
  }

  batch(batch: Batch): void {
    const { keep } = this.#parts;
    const told = keep === undefined ? batch : keep(batch);
    // Nothing of it may be known, not even that there was something.
    if (told === null) return pull(this.#parts.batches, this);
    this.#take().batch(told);
  }

  ended(): void {
    this.#parts.over();
    this.#take().ended();
  }

  failed(error: unknown): void {
    this.#parts.over();
    this.#take().failed(error);
  }

  #take(): BatchSink {
    const sink = this.#waiting as BatchSink;
    this.#waiting = null;
    return sink;
  }
}
