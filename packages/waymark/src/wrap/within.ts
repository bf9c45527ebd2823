import type {
  Batch,
  ByteString,
  CallOptions,
  Change,
  Check,
  CommitOptions,
  Engine,
  EngineStatus,
  Entry,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Operation,
  OperationResult,
  Outcome,
  PutOperation,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
  WatchOptions,
} from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { flat, isByteString, joinBytes } from '../core/bytes.js';
import { limits } from '../core/limits.js';
import { asksForOne } from '../core/queries.js';
import { prefixEnd } from '../core/ranges.js';
import { settled, settledValue } from '../core/settled.js';
import { areFixed, fixedChecks, validateRange } from '../core/validate.js';
import { mapWatch } from './map-watch.js';
import { RecentChanges } from './recent-changes.js';

/**
 * An engine whose keys are those of `engine` that begin with `prefix`, without it. Nothing outside can be read, written or
 * watched; a key may be as long as leaves room for the prefix (K6). Revisions, leases and history are the whole engine's,
 * because there is one order and one history: `compact` passes through and drops everybody's, `leases()` lists all,
 * `status` counts all, and a lease shows only the keys in here. Disposing it leaves `engine` open.
 *
 * @throws {WaymarkError} `invalid` for a prefix that is no byte string
 */
export function within(engine: Engine, prefix: ByteString): Engine {
  return new Within(engine, prefix);
}

class Within implements Engine {
  readonly #engine: Engine;
  readonly #prefix: ByteString;
  /** Where everything with the prefix ends. */
  readonly #end: ByteString;
  readonly #stripped = new RecentChanges();
  /** Fixed checks that were asked last, and what they are beneath: the write guard asks the same of nearly every commit. */
  #asked: readonly Check[] | undefined;
  #askedInner: readonly Check[] = [];

  constructor(engine: Engine, prefix: ByteString) {
    if (!isByteString(prefix)) {
      throw new WaymarkError('invalid', 'a prefix is a byte string: encode text to UTF-8 first');
    }
    this.#engine = engine;
    this.#prefix = prefix;
    this.#end = prefixEnd(prefix);
  }

  read(query: Query, options?: ReadOptions): Promise<Reading> {
    try {
      const reading = this.#engine.read(this.#query(query), options);
      const known = settledValue(reading);
      if (known === undefined) return reading.then(this.#reading, this.#refused);
      const { revision, entries, more, count } = known;
      const one = query.end === undefined ? entries[0] : undefined;
      const own = one === undefined ? entries.map(this.#entry) : [keyed(query.key, one)];
      return settled({ revision, entries: own, more, count });
    } catch (error) {
      return Promise.reject(this.#error(error));
    }
  }

  commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const onePut = this.#onePut(txn);
    return onePut === null
      ? this.#commitMapped(txn, options)
      : this.#engine.commit(onePut, options);
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    const open = (): AsyncIterable<Batch> =>
      this.#engine.watch(
        ranges.map((range) => this.#range(range)),
        options,
      );
    return mapWatch(open, this.#batch, (error) => this.#error(error));
  }

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#engine.grant(ttlMs, options);
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#engine.renew(id, options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#engine.revoke(id, options);
  }

  async lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    const state = await this.#engine.lease(id, options);
    if (state === null) return null;
    const own = state.keys.filter((key) => key.startsWith(this.#prefix));
    return { ...state, keys: own.map((key) => key.slice(this.#prefix.length)) };
  }

  leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.#engine.leases(options);
  }

  compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#engine.compact(through, options);
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.#engine.status(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /**
   * One put, the hottest commit of all: where nothing in its outcome or its refusal would tell of the prefix it costs no promise
   * here. @returns null for all others
   */
  #onePut({ when, apply, otherwise }: Txn): Txn | null {
    if (apply?.length !== 1 || otherwise !== undefined) return null;
    const [put] = apply;
    if (put?.type !== 'put' || put.previous === true || !this.#fits(put)) return null;
    const operations = [this.#put(put)];
    if (when === undefined || when.length === 0) return { apply: operations };
    if (when === this.#asked) return { when: this.#askedInner, apply: operations };
    if (!when.every((check) => this.#fits(check))) return null;
    const [known, inner] = [this.#asked?.[0], this.#askedInner[0]];
    const checks = when.map((check) =>
      check === known && inner !== undefined ? inner : this.#check(check),
    );
    if (areFixed(when)) {
      this.#asked = when;
      this.#askedInner = fixedChecks(checks);
    }
    return { when: checks, apply: operations };
  }

  #fits({ key, end = key }: KeyRange): boolean {
    if (typeof key !== 'string' || typeof end !== 'string' || key === '') return false;
    const room = limits.keyBytesMax - this.#prefix.length;
    return key.length <= room && end.length <= room;
  }

  async #commitMapped(txn: Txn, options: CommitOptions | undefined): Promise<Outcome> {
    try {
      const outcome = await this.#engine.commit(this.#txn(txn), options);
      if (!outcome.results.some(tellsOfKeys)) return outcome;
      return { ...outcome, results: this.#results(outcome.results) };
    } catch (error) {
      throw this.#error(error);
    }
  }

  #query(query: Query): Query {
    if (!asksForOne(query)) return this.#inner(query);
    refuseUnprefixable(query);
    return { key: this.#key(query.key) };
  }

  #key(key: ByteString): ByteString {
    return flat(joinBytes(this.#prefix, key));
  }

  /** Keys and ends get the prefix; what is unbounded ends with the prefix's own range. */
  #inner<R extends KeyRange>(range: R): R {
    return { ...range, ...this.#range(range) };
  }

  #range(range: KeyRange): KeyRange {
    refuseUnprefixable(range);
    const { end } = range;
    const key = this.#key(range.key);
    if (end === undefined) return { key, end };
    return { key, end: end === '' ? this.#end : this.#prefix + end };
  }

  #txn(txn: Txn): Txn {
    return {
      when: txn.when?.map(this.#check),
      apply: txn.apply?.map(this.#operation),
      otherwise: txn.otherwise?.map(this.#operation),
    };
  }

  readonly #operation = (operation: Operation): Operation => {
    switch (operation.type) {
      case 'put':
        refuseUnprefixable(operation);
        return this.#put(operation);
      case 'delete': {
        const { key, end } = this.#range(operation);
        return { type: 'delete', key, end, previous: operation.previous };
      }
      case 'read':
        return this.#inner(operation);
      case 'txn':
        return { type: 'txn', txn: this.#txn(operation.txn) };
      default:
        // What is no operation the engine beneath refuses.
        return operation;
    }
  };

  /** Field by field: a commit's hottest object, and a spread costs several times as much. */
  #put(put: PutOperation): PutOperation {
    const { value, lease, previous, keepValue, keepLease } = put;
    const key = this.#key(put.key);
    return lease === undefined && previous === undefined && !keepValue && !keepLease
      ? { type: 'put', key, value }
      : { type: 'put', key, value, lease, previous, keepValue, keepLease };
  }

  readonly #check = (check: Check): Check => {
    const { key, end } = this.#range(check);
    return { key, end, target: check.target, is: check.is, to: check.to };
  };

  #results(results: readonly OperationResult[]): OperationResult[] {
    return results.map((result) => {
      switch (result.type) {
        case 'put':
          return result.previous ? { ...result, previous: this.#entry(result.previous) } : result;
        case 'delete':
          return result.previous === undefined
            ? result
            : { ...result, previous: result.previous.map(this.#entry) };
        case 'read':
          return { type: 'read', reading: this.#reading(result.reading) };
        case 'txn':
          return { ...result, results: this.#results(result.results) };
      }
    });
  }

  readonly #reading = (reading: Reading): Reading => {
    if (reading.entries.length === 0) return reading;
    return { ...reading, entries: reading.entries.map(this.#entry) };
  };

  readonly #batch = (batch: Batch): Batch =>
    batch.changes.length === 0
      ? batch
      : { revision: batch.revision, changes: batch.changes.map(this.#change) };

  readonly #entry = (entry: Entry): Entry => keyed(entry.key.slice(this.#prefix.length), entry);

  readonly #change = (change: Change): Change => this.#stripped.of(change, this.#strip);

  readonly #strip = ({ kind, entry, previous }: Change): Change =>
    previous === undefined
      ? { kind, entry: this.#entry(entry) }
      : { kind, entry: this.#entry(entry), previous: previous && this.#entry(previous) };

  readonly #refused = (error: unknown): never => {
    throw this.#error(error);
  };

  /** A key too long for the engine beneath is told in this one's measure. */
  #error(error: unknown): unknown {
    if (!isWaymarkError(error, 'too_large') || error.facts.limit !== 'keyBytesMax') return error;
    const { max, actual } = error.facts;
    if (max === undefined || actual === undefined) return error;
    const own = { max: max - this.#prefix.length, actual: actual - this.#prefix.length };
    const message = `${own.actual} bytes of a key: at most ${own.max} (keyBytesMax, less the prefix)`;
    return new WaymarkError('too_large', message, { ...error.facts, ...own }, error);
  }
}

/** The same under the key that it has in here. */
function keyed(key: ByteString, entry: Entry): Entry {
  const { value, createRevision, modRevision, version, lease } = entry;
  return { key, value, createRevision, modRevision, version, lease };
}

/** Whether a result holds keys, which must lose the prefix. */
function tellsOfKeys(result: OperationResult): boolean {
  return result.type === 'read' || result.type === 'txn' || result.previous != null;
}

/** What the prefix would make valid: no key at all. All else the engine beneath judges. */
function refuseUnprefixable({ key, end }: KeyRange): void {
  const text = typeof key === 'string' && (end === undefined || typeof end === 'string');
  if (!text || (key === '' && end === undefined)) validateRange({ key, end });
}
