import type { Reader } from './reader.js';
import type { Writer } from './writer.js';

/**
 * One call on the wire: its verb, and how its arguments and result are written and read. Client and server share it, so
 * the two sides cannot disagree.
 */
export interface Method<Args, Result> {
  /** From 0x20 to 0xff; never given to another call. */
  readonly verb: number;
  readonly name: string;
  /**
   * What becomes of a call that was sent when its connection breaks: `retry` where doing it twice does the
   * same, else it ends `uncertain`.
   */
  readonly whenBroken: 'retry' | 'uncertain';
  readonly writeArgs: (w: Writer, args: Args) => void;
  readonly readArgs: (r: Reader) => Args;
  readonly writeResult: (w: Writer, result: Result) => void;
  /** @param args  what was asked: an answer need not tell it again */
  readonly readResult: (r: Reader, args: Args) => Result;
}

/** Fixes the types of a method where it is written down. */
export function method<Args, Result>(definition: Method<Args, Result>): Method<Args, Result> {
  return definition;
}

export function writeOptional(w: Writer, value: number | undefined): void {
  w.bool(value !== undefined);
  if (value !== undefined) w.double(value);
}

export function readOptional(r: Reader): number | undefined {
  return r.bool() ? r.double() : undefined;
}

/** A batch comes as a message of its own; a watch is answered by the error that ended it. */
export function nothing(): undefined {
  return undefined;
}
