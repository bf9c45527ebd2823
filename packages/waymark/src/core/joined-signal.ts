/** A signal that aborts with another one, or alone. */
export interface JoinedSignal {
  readonly signal: AbortSignal;
  readonly end: (reason?: unknown) => void;
  /** Listens no more to the other: to be called once what it ends is over. */
  readonly leave: () => void;
}

/** Not `AbortSignal.any`: in Node 20 a signal that lives on keeps something of each that was ever made of it. */
export function joinedSignal(signal: AbortSignal | undefined): JoinedSignal {
  const controller = new AbortController();
  const follow = (): void => controller.abort(signal?.reason);
  if (signal?.aborted === true) follow();
  else signal?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    end: (reason) => controller.abort(reason),
    leave: () => signal?.removeEventListener('abort', follow),
  };
}
