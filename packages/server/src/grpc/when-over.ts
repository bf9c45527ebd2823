/** Rejects, with the signal's reason, when a call is over: for conversations, which end by that alone. */
export function whenOver(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const over = (): void => reject(signal.reason as Error);
    if (signal.aborted) over();
    else signal.addEventListener('abort', over, { once: true });
  });
}
