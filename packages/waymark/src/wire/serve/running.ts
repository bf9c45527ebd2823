import type { CallOptions } from '../../core/engine.js';
import { settledValue } from '../../core/settled.js';
import type { TraceContext } from '../../core/tracing.js';
import { LateSignal } from './late-signal.js';
import type { TracedCall } from './serve-options.js';
import type { PlainCall } from './served-calls.js';

/** What a call came to: its result, or the error it failed with. */
export interface CallEnd {
  readonly value: unknown;
  readonly failed: boolean;
}

/** A call under way: made once and used again, so that a call costs no closures. */
export class Running {
  id = 0;
  call: PlainCall | null = null;
  #late = new LateSignal();
  readonly ok: (value: unknown) => void;
  readonly failed: (error: unknown) => void;

  /** Of the message before: consumed by the start. */
  parent: TraceContext | null = null;
  readonly #traced: TracedCall | undefined;

  constructor(finished: (running: Running, end: CallEnd) => void, traced: TracedCall | undefined) {
    this.#traced = traced;
    this.ok = (value) => finished(this, { value, failed: false });
    this.failed = (error) => finished(this, { value: error, failed: true });
  }

  /** For a call that may wait: those of the last one, unless that was given up. */
  options(): LateSignal {
    if (this.#late.aborted) this.#late = new LateSignal();
    return this.#late;
  }

  /** What a call refuses at once is its answer, as what it refuses later. */
  start(args: unknown, options?: CallOptions): void {
    let answer: Promise<unknown>;
    try {
      answer = this.#traced === undefined ? this.#run(args, options) : this.#span(args, options);
    } catch (error) {
      return this.failed(error);
    }
    const value = settledValue(answer);
    if (value === undefined) answer.then(this.ok, this.failed);
    else this.ok(value);
  }

  #run(args: unknown, options?: CallOptions): Promise<unknown> {
    return (this.call as PlainCall).run(args, options);
  }

  #span(args: unknown, options?: CallOptions): Promise<unknown> {
    const { method } = this.call as PlainCall;
    const { parent } = this;
    this.parent = null;
    return (this.#traced as TracedCall)(method, parent, () => this.#run(args, options));
  }
}
