import type { CallOptions } from '../../core/engine.js';
import { LateSignal } from './late-signal.js';
import type { PlainCall } from './served-calls.js';

/** A call under way: made once and used again, so that a call costs no closures. */
export class Running {
  id = 0;
  call: PlainCall | null = null;
  value: unknown = undefined;
  error: { readonly error: unknown } | null = null;
  #late = new LateSignal();
  readonly ok: (value: unknown) => void;
  readonly failed: (error: unknown) => void;

  constructor(finished: (running: Running) => void) {
    this.ok = (value) => {
      this.value = value;
      finished(this);
    };
    this.failed = (error) => {
      this.error = { error };
      finished(this);
    };
  }

  /** For a call that may wait: those of the last one, unless that was given up. */
  options(): LateSignal {
    if (this.#late.aborted) this.#late = new LateSignal();
    return this.#late;
  }

  /** What a call refuses at once is its answer, as what it refuses later. */
  start(args: unknown, options?: CallOptions): void {
    try {
      (this.call as PlainCall).run(args, options).then(this.ok, this.failed);
    } catch (error) {
      this.failed(error);
    }
  }

  clear(): void {
    this.call = null;
    this.value = undefined;
    this.error = null;
  }
}
