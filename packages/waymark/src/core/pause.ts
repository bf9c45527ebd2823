import type { Clock } from './clock.js';

/** Resolves after a while. @throws the signal's reason when it aborts first */
export function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  keepAlive = false,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const abort = (): void => {
      disarm();
      reject(signal?.reason as Error);
    };
    const ended = (): void => {
      signal?.removeEventListener('abort', abort);
      resolve();
    };
    const disarm = clock.after(ms, ended, keepAlive);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
