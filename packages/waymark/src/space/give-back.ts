import type { Clock } from '../core/clock.js';
import { pause } from '../core/pause.js';
import type { Hold } from './types.js';

/** Releases a hold. Waits no longer than it would stand by itself, as the engine may be out of reach. @throws what the release throws */
export async function giveBack(clock: Clock, hold: Hold): Promise<void> {
  const answered = new AbortController();
  const over = pause(clock, hold.remainingMs(), answered.signal).catch(() => undefined);
  try {
    await Promise.race([hold.release(), over]);
  } finally {
    answered.abort();
  }
}
