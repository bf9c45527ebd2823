import type { CallOptions } from '../../core/engine.js';
import { settledValue } from '../../core/settled.js';
import type { TraceContext } from '../../core/tracing.js';
import type { Admission } from './admission.js';
import { type Claim, Claims } from './claims.js';
import { LateSignal } from './late-signal.js';
import type { ServeOptions, TracedCall } from './serve-options.js';
import { cancelled } from './refusals.js';
import { type PlainCall, reasonWhenGone } from './served-calls.js';

/** What a call came to: its result, or the error it failed with. */
export interface CallEnd {
  readonly value: unknown;
  readonly failed: boolean;
}

export interface RunningEvents {
  finished(running: Running, end: CallEnd): void;
  /** Nobody is there for the answer. */
  gone(): boolean;
  /** What its client has, from its first call on that is about that. */
  claims?: Claims;
}

export type RunningLimits = Pick<
  ServeOptions,
  'admission' | 'spend' | 'traced' | 'clock' | 'limits' | 'locksUnder'
>;

const uncounted = -1;

/** A call under way: made once and used again, so that a call costs no closures. */
export class Running {
  id = 0;
  call: PlainCall | null = null;
  /** Where in a trace its client stands. */
  parent: TraceContext | null = null;
  /** It has begun, or waits for its turn, and has no answer yet. */
  underWay = false;
  /** Its connection knows how to give it up. */
  listed = false;
  #late = new LateSignal();
  readonly #events: RunningEvents;
  readonly #admission: Admission | undefined;
  readonly #spend: RunningLimits['spend'];
  readonly #traced: TracedCall | undefined;
  /** What it counts for where work under way is bounded. */
  #counted = uncounted;
  #claim: Claim | undefined = undefined;
  readonly #options: RunningLimits;
  readonly ok: (value: unknown) => void;
  readonly failed: (error: unknown) => void;

  constructor(events: RunningEvents, options: RunningLimits) {
    const { admission, spend, traced } = options;
    this.#events = events;
    this.#options = options;
    this.#admission = admission;
    this.#spend = spend;
    this.#traced = traced;
    this.ok = (value) => this.#over({ value, failed: false });
    this.failed = (error) => this.#over({ value: error, failed: true });
  }

  /** For a call that may wait: those of the last one, unless that was given up. */
  options(): LateSignal {
    if (this.#late.aborted) this.#late = new LateSignal();
    return this.#late;
  }

  /** Its client cancels it, or has vanished. */
  abort(gone: boolean): void {
    const reason = gone ? reasonWhenGone(this.call as PlainCall) : cancelled;
    if (reason !== null) this.#late.abort(reason);
  }

  /**
   * Begins, or waits for its turn where too much is under way.
   *
   * @param bytes  of its message
   */
  start(args: unknown, bytes: number, options?: CallOptions): void {
    this.underWay = true;
    const claim = this.call?.claim;
    if (claim !== undefined) {
      const refusal = (this.#events.claims ??= new Claims(this.#options)).begin(claim, args);
      if (refusal !== null) return this.failed(refusal);
      this.#claim = claim;
    }
    const admission = this.#admission;
    if (this.call?.urgent === true) return this.#begin(args, options);
    const refusal = this.#spend?.() ?? null;
    if (refusal !== null) return this.failed(refusal);
    if (admission === undefined) return this.#begin(args, options);
    if (admission.enter(bytes)) return this.#counting(args, bytes, options);
    const begin = (): void => this.#counting(args, bytes, options);
    admission.wait({ bytes, begin, refused: this.failed });
  }

  #counting(args: unknown, bytes: number, options: CallOptions | undefined): void {
    this.#counted = bytes;
    if (this.#events.gone()) return this.#leave();
    this.#begin(args, options);
    // What waits for others is no work.
    if (this.call?.waits === true) this.#leave();
  }

  /** What a call refuses at once is its answer, as what it refuses later. */
  #begin(args: unknown, options: CallOptions | undefined): void {
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

  #over(end: CallEnd): void {
    this.#leave();
    if (this.#claim !== undefined) {
      this.#events.claims?.settle(this.#claim, end.failed ? undefined : end.value);
      this.#claim = undefined;
    }
    this.underWay = false;
    this.#events.finished(this, end);
  }

  #leave(): void {
    if (this.#counted === uncounted) return;
    const bytes = this.#counted;
    this.#counted = uncounted;
    this.#admission?.leave(bytes);
  }
}
