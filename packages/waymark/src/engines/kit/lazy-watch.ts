import type { Batch } from '../../core/engine.js';

/**
 * A watch whose refusal (bad ranges, compacted, closed) comes from its first `next()`, as every other failure of a watch does, and
 * that can be iterated once.
 */
export function lazyWatch(open: () => AsyncIterableIterator<Batch>): AsyncIterableIterator<Batch> {
  let cursor: AsyncIterableIterator<Batch> | undefined;
  let refusal: { readonly error: unknown } | undefined;
  try {
    cursor = open();
  } catch (error) {
    refusal = { error };
  }
  if (cursor !== undefined) return cursor;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const failed = refusal;
      refusal = undefined;
      return failed === undefined
        ? Promise.resolve({ value: undefined, done: true })
        : Promise.reject(failed.error);
    },
    return: () => Promise.resolve({ value: undefined, done: true }),
  };
}
