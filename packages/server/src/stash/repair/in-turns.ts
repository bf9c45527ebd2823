import { isWaymarkError } from 'waymark/engine';

const atOnce = 8;

/** Several at a time, so that they share flushes. @throws the first failure, when none is under way any more */
export async function inTurns<T>(
  all: Iterable<T>,
  work: (one: T) => Promise<unknown>,
): Promise<void> {
  const waiting = all[Symbol.iterator]();
  let failure: { readonly error: unknown } | null = null;
  const worker = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      if (failure !== null) return;
      await work(next.value).catch((error: unknown) => void (failure ??= { error }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
}

const passing = ['unavailable', 'superseded', 'uncertain', 'overloaded', 'storage_full'];

/** What may be otherwise the next time, and needs no telling. */
export function isPassing(error: unknown): boolean {
  return isWaymarkError(error) && passing.includes(error.code);
}
