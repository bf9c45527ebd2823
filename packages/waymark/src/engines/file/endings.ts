import { WaymarkError } from '../../core/errors.js';

/** How calls end that do not succeed. */

/** What is refused once a write or flush failed. */
export function failed(error: unknown): WaymarkError {
  return new WaymarkError(
    'unavailable',
    `the log cannot be written, restart to go on: ${messageOf(error)}`,
    {},
    error,
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What was sent to the log can no longer be taken back: an abort leaves it open whether it was done (K11). */
export async function unlessAborted(flushed: Promise<void>, signal: AbortSignal): Promise<void> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () =>
      reject(new WaymarkError('uncertain', 'aborted while the log was written', {}, signal.reason));
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    await Promise.race([flushed, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
