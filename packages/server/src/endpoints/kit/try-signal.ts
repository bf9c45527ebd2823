/**
 * A signal for tries that follow each other: the same one serves until it has aborted. One for each try, or AbortSignal.any, is up to a fifth of what a small
 * delivery costs. Whoever listens to it stops when the try is over.
 */
export class TrySignal {
  #controller: AbortController | null = null;
  #ended: Error | null = null;
  #abandon: ((reason: unknown) => void) | null = null;

  /** @throws what it was ended with */
  get signal(): AbortSignal {
    if (this.#ended !== null) throw this.#ended;
    if (this.#controller?.signal.aborted !== false) this.#controller = new AbortController();
    return this.#controller.signal;
  }

  /** Ends the try under way. */
  abort(reason: unknown): void {
    this.#controller?.abort(reason);
    this.#abandon?.(reason);
  }

  /** Ends the try under way, and there is no other. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.abort(reason);
  }

  /** Waits for a try: one that is deaf to the signal keeps nobody waiting. A listener would do the same, for more than the rest of it. @throws what it is ended with, too */
  async unlessEnded(task: Promise<void>): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#abandon = reject;
        task.then(resolve, reject);
      });
    } finally {
      this.#abandon = null;
    }
  }

  /** Does a try that another signal ends, too. @throws its reason, or what this was ended with, and does nothing when either has been */
  async under<T>(until: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this;
    until.throwIfAborted();
    const abort = (): void => this.abort(until.reason);
    until.addEventListener('abort', abort, { once: true });
    try {
      return await work(signal);
    } finally {
      until.removeEventListener('abort', abort);
    }
  }
}
