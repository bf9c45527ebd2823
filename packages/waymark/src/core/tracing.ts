/** Where in a trace something was asked for, as W3C's Trace Context writes it down (w3.org/TR/trace-context). */
export interface TraceContext {
  /** `00-TRACE-SPAN-FLAGS`: 32, 16 and 2 hex digits. */
  readonly traceparent: string;
  /** What vendors add; empty for nothing. */
  readonly tracestate: string;
}

export type SpanKind = 'client' | 'server' | 'producer' | 'internal';

export interface SpanFacts {
  readonly kind: SpanKind;
  readonly attributes?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** What asked for it, where that is not the span at hand; null: nothing did. */
  readonly parent?: TraceContext | null | undefined;
  /** What else it is about. */
  readonly links?: readonly TraceContext[] | undefined;
}

/** Spans of who registered a provider of OpenTelemetry: see docs/guide/observability.md. */
export interface Tracing {
  /** Runs `work` within a span that ends with its answer. @returns what `work` returns, itself */
  span<T>(name: string, facts: SpanFacts, work: () => Promise<T>): Promise<T>;
  /** The span at hand, to be told to others; null where there is none. */
  current(): TraceContext | null;
  /** The span at hand made this revision. */
  committed(revision: number): void;
  /** What made a revision, as far as that is remembered: of the last 4 096 that were committed within a span here. */
  commitOf(revision: number): TraceContext | null;
}

const wellFormed = /^[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;
const stateCharsMax = 512;

/** @returns null for what is none: then a trace of its own begins */
export function traceContextOf(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext | null {
  if (traceparent === undefined || !wellFormed.test(traceparent)) return null;
  const fits = tracestate !== undefined && tracestate.length <= stateCharsMax;
  return { traceparent, tracestate: fits ? tracestate : '' };
}
