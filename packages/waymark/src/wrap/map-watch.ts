import type { Batch } from '../core/engine.js';

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
  const mapped = (step: IteratorResult<Batch>): IteratorResult<Batch> =>
    step.done === true
      ? { value: undefined, done: true }
      : { value: onBatch(step.value), done: false };
  const failed = (error: unknown): never => {
    throw onError(error);
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      if (inner !== undefined) return inner.next().then(mapped, failed);
      const refused = refusal;
      refusal = undefined;
      return refused === undefined
        ? Promise.resolve({ value: undefined, done: true })
        : Promise.reject(onError(refused.error));
    },
    async return() {
      await inner?.return?.();
      return { value: undefined, done: true };
    },
  };
}
