import type { CallOptions } from '../../core/engine.js';

/**
 * Options of a call that may wait. Its signal is made when somebody first looks: a lock that is free is given without. One that was never
 * aborted serves another call afterwards: making one costs more than most calls.
 */
export class LateSignal implements CallOptions {
  #controller: AbortController | null = null;
  #reason: unknown = undefined;

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
