import type * as OtelApi from '@opentelemetry/api';
import { isWaymarkError } from './errors.js';
import type { SpanFacts, TraceContext, Tracing } from './tracing.js';

/** Where all copies of the API's version 1 keep what is registered: a provider that is not there was not registered, by any of them. */
const registry = Symbol.for('opentelemetry.js.api.1');
const revisionsMax = 4_096;

/**
 * Spans by OpenTelemetry, where a provider is registered by now and the package `@opentelemetry/api` is installed; else null, and nothing is
 * loaded. Who registers one does it before it opens a space or starts a server.
 */
export async function loadTracing(): Promise<Tracing | null> {
  const registered = (globalThis as { [registry]?: { readonly trace?: unknown } })[registry];
  if (registered?.trace === undefined) return null;
  try {
    return new OpenTelemetry(await import('@opentelemetry/api'));
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND') return null;
    throw error;
  }
}

class OpenTelemetry implements Tracing {
  readonly #api: typeof OtelApi;
  readonly #tracer: OtelApi.Tracer;
  readonly #commits = new Map<number, TraceContext>();

  constructor(api: typeof OtelApi) {
    this.#api = api;
    this.#tracer = api.trace.getTracer('waymark');
  }

  span<T>(name: string, facts: SpanFacts, work: () => Promise<T>): Promise<T> {
    const { context, trace, SpanKind } = this.#api;
    const { parent, attributes = {}, links = [] } = facts;
    const base = parent === undefined ? context.active() : this.#beneath(parent);
    const kind = SpanKind[facts.kind.toUpperCase() as keyof typeof SpanKind];
    const linked = links.map((link) => ({ context: this.#contextOf(link) }));
    const span = this.#tracer.startSpan(name, { kind, attributes, links: linked }, base);
    let answer: Promise<T>;
    try {
      answer = context.with(trace.setSpan(base, span), work);
    } catch (error) {
      this.#failed(span, error);
      throw error;
    }
    answer.then(
      () => span.end(),
      (error: unknown) => this.#failed(span, error),
    );
    return answer;
  }

  current(): TraceContext | null {
    const { context, trace } = this.#api;
    const span = trace.getSpanContext(context.active());
    if (span === undefined || !this.#api.isSpanContextValid(span)) return null;
    const flags = span.traceFlags.toString(16).padStart(2, '0');
    return {
      traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
      tracestate: span.traceState?.serialize() ?? '',
    };
  }

  committed(revision: number): void {
    const current = this.current();
    if (current === null || this.#commits.has(revision)) return;
    this.#commits.set(revision, current);
    if (this.#commits.size <= revisionsMax) return;
    for (const oldest of this.#commits.keys()) {
      this.#commits.delete(oldest);
      return;
    }
  }

  commitOf(revision: number): TraceContext | null {
    return this.#commits.get(revision) ?? null;
  }

  #beneath(parent: TraceContext | null): OtelApi.Context {
    const { ROOT_CONTEXT, trace } = this.#api;
    return parent === null
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, this.#contextOf(parent));
  }

  #contextOf({ traceparent, tracestate }: TraceContext): OtelApi.SpanContext {
    const [, traceId = '', spanId = '', flags = '0'] = traceparent.split('-');
    const traceFlags = Number.parseInt(flags, 16);
    const traceState = tracestate === '' ? undefined : this.#api.createTraceState(tracestate);
    return {
      ...{ traceId, spanId, traceFlags, isRemote: true },
      ...(traceState !== undefined && { traceState }),
    };
  }

  #failed(span: OtelApi.Span, error: unknown): void {
    const code = isWaymarkError(error) ? error.code : 'internal';
    span.setAttribute('waymark.error', code);
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: code });
    span.end();
  }
}
