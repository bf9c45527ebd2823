import { type Clock, pause } from 'waymark/engine';

/** Waits for something that is as well if it fails, or takes longer. */
export async function within(clock: Clock, ms: number, work: PromiseLike<unknown>): Promise<void> {
  const over = new AbortController();
  const late = pause(clock, ms, over.signal, true);
  await Promise.race([work, late]).catch(() => undefined);
  over.abort();
  await late.catch(() => undefined);
}
