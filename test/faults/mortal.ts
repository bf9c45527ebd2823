import type { Space } from 'waymark';
import type { Clock } from 'waymark/engine';

/** A client that can die: from then on it says nothing, and its leases are left to end. */
export interface MortalClient {
  readonly space: Space;
  /** Aborts at its death. */
  readonly dead: AbortSignal;
  kill(): void;
}

/** A clock whose owner can die: none of its timers runs after that, so its leases are not renewed. */
export function mortalClock(clock: Clock, dead: AbortSignal): Clock {
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    after: (delayMs, task) => clock.after(delayMs, () => void (dead.aborted || task())),
    nextTurn: (task) => clock.nextTurn(task),
  };
}

/** Null at the client's death. */
export async function orDeath<T>(work: Promise<T>, dead: AbortSignal): Promise<T | null> {
  work.catch(() => undefined);
  if (dead.aborted) return null;
  let stop = (): void => undefined;
  const death = new Promise<null>((resolve) => {
    stop = () => resolve(null);
    dead.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, death]);
  } finally {
    dead.removeEventListener('abort', stop);
  }
}
