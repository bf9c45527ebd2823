import type {
  CallOptions,
  GrantOptions,
  Lease,
  LeaseId,
  Outcome,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
} from '../core/engine.js';
import type {
  AcquireRequest,
  ConvertRequest,
  Explanation,
  ExplainRequest,
  GuardedCommitOptions,
  HeldKeys,
  Host,
  RunOptions,
} from '../core/host.js';
import type { RecipeCall } from '../core/recipe-call.js';
import type { SpanKind, Tracing } from '../core/tracing.js';
import { ForwardingHost } from './forward-host.js';

/** Asked again and again for as long as something lasts, and named in no trace: they would go on long after what began them. */
const lasting = new Set(['renew', 'engine.renew', 'messages.take', 'streams.pull', 'status']);

/** Whether a call is a span, by its name on the wire. */
export function isTraced(name: string): boolean {
  return !lasting.has(name);
}

/** A host whose calls are spans: what a library's user sees of what it asked for. @param kind  `client` for a host elsewhere */
export function tracedHost(host: Host, tracing: Spans, kind: SpanKind): Host {
  return new TracedHost(host, tracing, kind);
}

class TracedHost extends ForwardingHost {
  readonly #tracing: Spans;
  readonly #kind: SpanKind;

  constructor(host: Host, tracing: Spans, kind: SpanKind) {
    super(host);
    this.#tracing = tracing;
    this.#kind = kind;
  }

  override read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#span('read', { namespace }, () => this.host.read(namespace, query, options));
  }

  override commit(namespace: string, txn: Txn, options?: GuardedCommitOptions): Promise<Outcome> {
    return this.#span('commit', { namespace }, () => this.host.commit(namespace, txn, options));
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#span('grant', {}, () => this.host.grant(ttlMs, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#span('revoke', {}, () => this.host.revoke(id, options));
  }

  override acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    const { path } = request;
    return this.#span('acquire', { namespace, path }, () =>
      this.host.acquire(namespace, request, options),
    );
  }

  override release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    const { path } = hold;
    return this.#span('release', { namespace, path }, () =>
      this.host.release(namespace, hold, options),
    );
  }

  override convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number> {
    const { path } = hold;
    return this.#span('convert', { namespace, path }, () =>
      this.host.convert(namespace, hold, to, options),
    );
  }

  override explain(
    namespace: string,
    request: ExplainRequest,
    options?: CallOptions,
  ): Promise<Explanation> {
    return this.#span('explain', { namespace, path: request.path }, () =>
      this.host.explain(namespace, request, options),
    );
  }

  override run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result> {
    const work = (): Promise<Result> => this.host.run(call, namespace, args, options);
    return isTraced(call.name) ? this.#span(call.name, { namespace }, work) : work();
  }

  #span<T>(name: string, facts: SpanAbout, work: () => Promise<T>): Promise<T> {
    const { namespace, path } = facts;
    const attributes = {
      ...(namespace !== undefined && { 'waymark.namespace': namespace }),
      ...(path !== undefined && { 'waymark.path': path }),
    };
    return this.#tracing.span(`waymark.${name}`, { kind: this.#kind, attributes }, work);
  }
}

type Spans = Pick<Tracing, 'span'>;

interface SpanAbout {
  readonly namespace?: string;
  readonly path?: string;
}
