import {
  askForBookmark,
  type BatchSink,
  type DirectBatches,
  nextOf,
  pull,
} from '../core/batch-sink.js';
import type { Batch } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';

/**
 * The watch that `open` gives, each batch seen by `onBatch` and each failure by `onError`. What `open` throws comes from the
 * first `next()`, as every failure of a watch does. Not a generator: leaving one waits for the `next` under way, which
 * on a quiet watch is for ever.
 */
export function mapWatch(
  open: () => AsyncIterable<Batch>,
  onBatch: (batch: Batch) => Batch,
  onError: (error: unknown) => unknown,
): AsyncIterableIterator<Batch> {
  let inner: AsyncIterator<Batch> | undefined;
  let refusal: { readonly error: unknown } | undefined;
  try {
    inner = open()[Symbol.asyncIterator]();
  } catch (error) {
    refusal = { error };
  }
  return new MappedWatch(inner, refusal, { onBatch, onError });
}

interface Mapping {
  readonly onBatch: (batch: Batch) => Batch;
  readonly onError: (error: unknown) => unknown;
}

class MappedWatch implements AsyncIterableIterator<Batch>, DirectBatches, BatchSink {
  readonly #inner: AsyncIterator<Batch> | undefined;
  readonly #mapping: Mapping;
  #refusal: { readonly error: unknown } | undefined;
  #waiting: BatchSink | null = null;

  constructor(
    inner: AsyncIterator<Batch> | undefined,
    refusal: { readonly error: unknown } | undefined,
    mapping: Mapping,
  ) {
    this.#inner = inner;
    this.#refusal = refusal;
    this.#mapping = mapping;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Batch>> {
    return nextOf(this);
  }

  async return(): Promise<IteratorResult<Batch>> {
    await this.#inner?.return?.();
    return { value: undefined, done: true };
  }

  pull(sink: BatchSink): void {
    if (this.#waiting !== null) {
      const text = 'a watch gives one batch at a time: await it first';
      return sink.failed(new WaymarkError('invalid', text));
    }
    if (this.#inner !== undefined) {
      this.#waiting = sink;
      return pull(this.#inner, this);
    }
    const refused = this.#refusal;
    this.#refusal = undefined;
    if (refused === undefined) sink.ended();
    else sink.failed(this.#mapping.onError(refused.error));
  }

  owe(): void {
    if (this.#inner !== undefined) askForBookmark(this.#inner);
  }

  batch(batch: Batch): void {
    const sink = this.#take();
    let mapped: Batch;
    try {
      mapped = this.#mapping.onBatch(batch);
    } catch (error) {
      return sink.failed(error);
    }
    sink.batch(mapped);
  }

  ended(): void {
    this.#take().ended();
  }

  failed(error: unknown): void {
    this.#take().failed(this.#mapping.onError(error));
  }

  #take(): BatchSink {
    const sink = this.#waiting as BatchSink;
    this.#waiting = null;
    return sink;
  }
}
