import type { Call } from './linearizable.js';

/** A call under way: end it in one of three ways. */
export interface OpenCall<O> {
  ok(output: O): void;
  /** It may have taken effect, or may still. */
  unknown(): void;
  /** It certainly had no effect, or was a read without an answer: it leaves the history. */
  drop(): void;
}

/**
 * Records what clients do. Times are a counter, one total order that real time allows; processes whose records are put together share a
 * clock instead.
 */
export class HistoryRecorder<I, O> {
  readonly #calls: {
    client: number;
    call: number;
    ret: number;
    input: I;
    output: O | undefined;
    dropped: boolean;
  }[] = [];
  readonly #clock: () => number;

  /** @param clock  never goes back, and is the same for all whose records are put together. Default: a counter */
  constructor(clock?: () => number) {
    let time = 0;
    this.#clock = clock ?? (() => ++time);
  }

  begin(client: number, input: I): OpenCall<O> {
    const call = {
      client,
      call: this.#clock(),
      ret: Infinity,
      input,
      output: undefined as O | undefined,
      dropped: false,
    };
    this.#calls.push(call);
    return {
      ok: (output) => {
        call.ret = this.#clock();
        call.output = output;
      },
      unknown: () => undefined,
      drop: () => {
        call.dropped = true;
      },
    };
  }

  /** A moment in the recorder's time. */
  now(): number {
    return this.#clock();
  }

  /** By time of call. */
  history(): Call<I, O>[] {
    return this.#calls.filter((call) => !call.dropped);
  }
}
