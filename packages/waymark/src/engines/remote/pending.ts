import type { TraceContext } from '../../core/tracing.js';
import type { Method } from '../../wire/method.js';
import type { Reader } from '../../wire/reader.js';

/** `left`: whoever asked no longer listens, and the answer is still to come. */
export type PendingState = 'free' | 'queued' | 'sent' | 'left';

/** A call or subscription that lasts: where its batches, answer and end go. */
export interface Sink {
  /** The arguments to send with, now: a resumed watch begins where it stopped. */
  args(): unknown;
  batch(reader: Reader): void;
  answer(result: unknown): void;
  failed(error: unknown): void;
}

/**
 * One place in the table of calls. Its index is the request's id; a place is free again when the server has answered (it
 * answers each request exactly once) or the connection is gone. Places are reused, so a call costs no allocation but
 * its promise.
 */
export class Pending {
  readonly id: number;
  state: PendingState = 'free';
  method: Method<unknown, unknown> | null = null;
  args: unknown = undefined;
  /** Where in a trace its caller stands. */
  trace: TraceContext | null = null;
  resolve: ((result: unknown) => void) | null = null;
  reject: ((error: unknown) => void) | null = null;
  sink: Sink | null = null;
  signal: AbortSignal | null = null;
  onAbort: (() => void) | null = null;
  /** The tick of the connection's deadline watch it started in; −1: no deadline. */
  since = -1;
  /** How many ticks later it is over. */
  ticks = 0;
  /** Counts against the calls a server takes at once. */
  counted = false;
  /** Was sent before, on a connection that broke. */
  resent = false;
  /** Rejects with the signal's reason only once the server has let go. */
  abortWaits = false;
  /** Aborted, and the server was asked to let go. */
  givenUp = false;
  /** The answer to a call that was left: what it gave is to be given back. */
  undo: ((result: unknown) => Promise<void>) | null = null;

  constructor(id: number) {
    this.id = id;
  }

  /** Stops listening to the signal. */
  detach(): void {
    if (this.signal !== null && this.onAbort !== null) {
      this.signal.removeEventListener('abort', this.onAbort);
    }
    this.signal = null;
    this.onAbort = null;
  }

  clear(): void {
    this.detach();
    this.state = 'free';
    this.method = null;
    this.args = undefined;
    this.trace = null;
    this.resolve = null;
    this.reject = null;
    this.sink = null;
    this.since = -1;
    this.resent = false;
    this.counted = false;
    this.abortWaits = false;
    this.givenUp = false;
    this.undo = null;
  }
}
