import type {
  CallOptions,
  CommitOptions,
  Engine,
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
import { settledValue } from '../core/settled.js';
import type { Tracing } from '../core/tracing.js';
import { ForwardingEngine } from './forward.js';

/**
 * An engine whose calls are spans, where they are made within one: what the server does of itself makes no traces. Renewals of leases are
 * none either, since they go on for long after what began them.
 */
export function traced(engine: Engine, tracing: Tracing): Engine {
  return new TracedEngine(engine, tracing);
}

class TracedEngine extends ForwardingEngine {
  readonly #tracing: Tracing;

  constructor(engine: Engine, tracing: Tracing) {
    super(engine);
    this.#tracing = tracing;
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#span('read', () => this.engine.read(query, options));
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.#span('commit', () => this.#remembered(this.engine.commit(txn, options)));
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#span('grant', () => this.engine.grant(ttlMs, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#span('revoke', () => this.engine.revoke(id, options));
  }

  #span<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#tracing.current() === null) return work();
    return this.#tracing.span(`waymark.engine.${name}`, { kind: 'internal' }, work);
  }

  /** In the turn of the answer: who is told of the change looks after that. */
  #remembered(committed: Promise<Outcome>): Promise<Outcome> {
    const known = settledValue(committed);
    if (known !== undefined) {
      this.#tracing.committed(known.revision);
      return committed;
    }
    return committed.then((outcome) => {
      this.#tracing.committed(outcome.revision);
      return outcome;
    });
  }
}
