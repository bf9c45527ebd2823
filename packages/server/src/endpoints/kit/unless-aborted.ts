/**
 * Waits for what cannot be stopped itself. When the signal aborts first, what `task` comes to is nobody's any more, unless `late` takes it.
 *
 * @throws the signal's reason
 */
export async function unlessAborted<T>(
  task: Promise<T>,
  signal: AbortSignal,
  late?: (value: T) => void,
): Promise<T> {
  let abort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([aborted, task]);
  } catch (error) {
    task.then(late, () => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
