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
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (inner === undefined) {
        const refused = refusal;
        refusal = undefined;
        if (refused === undefined) return { value: undefined, done: true };
        throw onError(refused.error);
      }
      let result: IteratorResult<Batch>;
      try {
        result = await inner.next();
      } catch (error) {
        throw onError(error);
      }
      if (result.done === true) return { value: undefined, done: true };
      return { value: onBatch(result.value), done: false };
    },
    async return() {
      await inner?.return?.();
      return { value: undefined, done: true };
    },
  };
}
