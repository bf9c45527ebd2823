import { type TraceContext, traceContextOf } from '../core/tracing.js';
import { messages } from './messages.js';
import type { Reader } from './reader.js';
import type { Writer } from './writer.js';

/** Says where in a trace the call stands that is written next. */
export function writeTrace(w: Writer, { traceparent, tracestate }: TraceContext): void {
  w.begin();
  w.byte(messages.trace);
  w.text(traceparent);
  w.text(tracestate);
  w.end();
}

/** @returns null for what is no context: the call is made all the same */
export function readTrace(r: Reader): TraceContext | null {
  const traceparent = r.text();
  return traceContextOf(traceparent, r.text());
}
