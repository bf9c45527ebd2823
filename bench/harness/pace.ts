/** Resolves at `at` on performance.now(): sleeps while far, then polls, so that it is late by microseconds. */
export function waitUntil(at: number): Promise<void> {
  return new Promise((resolve) => {
    const poll = (): void => {
      const left = at - performance.now();
      if (left <= 0) resolve();
      else if (left > 2.5) setTimeout(poll, left - 1.5);
      else setImmediate(poll);
    };
    poll();
  });
}

/** Milliseconds on the machine's monotonic clock, the same in every process. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function keyOf(index: number): string {
  return `/bench/keys/key-${String(index).padStart(8, '0')}`;
}

export const value100 = 'v'.repeat(100);
