import type { Clock } from './clock.js';

export interface BellWait {
  readonly clock: Clock;
  /** At most so long. */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
}

/** Wakes those who wait for something to change. */
export class Bell {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    for (const look of this.#waiting) look();
  }

  /** Resolves once `fact` holds, the time is over or the signal aborts: look which. */
  async until(fact: () => boolean, wait?: BellWait): Promise<void> {
    if (fact() || wait?.signal?.aborted === true || (wait !== undefined && wait.ms <= 0)) return;
    let wake = (): void => {};
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const look = (): void => {
      if (fact()) wake();
    };
    this.#waiting.add(look);
    const disarm = wait?.clock.after(wait.ms, wake);
    wait?.signal?.addEventListener('abort', wake, { once: true });
    await woken;
    this.#waiting.delete(look);
    disarm?.();
    wait?.signal?.removeEventListener('abort', wake);
  }
}
