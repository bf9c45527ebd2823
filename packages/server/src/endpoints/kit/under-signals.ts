/**
 * Does some work under a signal that aborts with the first of several, for its reason. AbortSignal.any would do, were it not that Node 20 keeps a trace of
 * each in the signals it was made of, for as long as these live.
 */
export async function underSignals<T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const first = new AbortController();
  const listening = signals.map((signal) => {
    const abort = (): void => first.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  });
  try {
    return await work(first.signal);
  } finally {
    for (const stop of listening) stop();
  }
}
