import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type ErrorCode, isWaymarkError, type WaymarkError } from '../../core/errors.js';

/** The few assertions that published suites need, without a test framework. */

export function same(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

export function holds(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** The promise, or what a call throws at once, fails with this code. */
export async function failsWith(code: ErrorCode, call: () => unknown): Promise<WaymarkError> {
  try {
    await call();
  } catch (error) {
    if (isWaymarkError(error, code)) return error;
    throw error;
  }
  throw new Error(`expected ${code}, but the call succeeded`);
}

/** How soon it is asked again: whoever asks without a rest takes the processor from what is waited for. */
const againMs = 2;

/** Waits for a fact by asking again, with a bound. */
export async function eventually(
  what: string,
  fact: () => unknown,
  boundMs = 10_000,
): Promise<void> {
  const late = AbortSignal.timeout(boundMs);
  while (!(await fact())) {
    if (late.aborted) throw new Error(`not within ${boundMs} ms: ${what}`);
    await sleep(againMs);
  }
}

/** Fails when the promise takes longer. */
export async function soon<T>(what: string, promise: Promise<T>, boundMs = 10_000): Promise<T> {
  const late = AbortSignal.timeout(boundMs);
  const timeout = new Promise<never>((_resolve, reject) =>
    late.addEventListener('abort', () => reject(new Error(`not within ${boundMs} ms: ${what}`)), {
      once: true,
    }),
  );
  return await Promise.race([promise, timeout]);
}
