import {
  type Batch,
  type CallOptions,
  type CommitOptions,
  type Engine,
  type EngineStatus,
  ForwardingEngine,
  type GrantOptions,
  isWaymarkError,
  type KeyRange,
  type Lease,
  type LeaseId,
  type LeaseState,
  type Outcome,
  type Query,
  type Reading,
  type ReadOptions,
  type Revision,
  systemClock,
  toLeaseId,
  type Txn,
  WaymarkError,
  type WatchOptions,
} from 'waymark/engine';
import type { Rule } from 'waymark/testing';

/** An engine with one fault planted, and the rule that it breaks: the suite must turn red on a test of that rule. */
export interface Mutation {
  readonly rule: Rule;
  readonly fault: string;
  readonly plant: (engine: Engine) => Engine;
}

type Watch = (
  batches: AsyncIterable<Batch>,
  options: WatchOptions | undefined,
) => AsyncIterable<Batch>;

/** Plants a fault in one call, and leaves the others alone. */
interface Faults {
  read?(engine: Engine, query: Query, options?: ReadOptions): Promise<Reading>;
  commit?(engine: Engine, txn: Txn, options?: CommitOptions): Promise<Outcome>;
  watch?(engine: Engine, ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch>;
  grant?(engine: Engine, ttlMs: number, options?: GrantOptions): Promise<Lease>;
  renew?(engine: Engine, id: LeaseId): Promise<Lease>;
  revoke?(engine: Engine, id: LeaseId): Promise<{ revision: Revision }>;
  lease?(engine: Engine, id: LeaseId): Promise<LeaseState | null>;
  compact?(engine: Engine, through: Revision, options?: CallOptions): Promise<void>;
  status?(engine: Engine): Promise<EngineStatus>;
}

function faults(planted: Faults): Mutation['plant'] {
  return (engine) => new Mutated(engine, planted);
}

class Mutated extends ForwardingEngine {
  readonly #faults: Faults;

  constructor(engine: Engine, planted: Faults) {
    super(engine);
    this.#faults = planted;
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#faults.read?.(this.engine, query, options) ?? super.read(query, options);
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.#faults.commit?.(this.engine, txn, options) ?? super.commit(txn, options);
  }

  override watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#faults.watch?.(this.engine, ranges, options) ?? super.watch(ranges, options);
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#faults.grant?.(this.engine, ttlMs, options) ?? super.grant(ttlMs, options);
  }

  override renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#faults.renew?.(this.engine, id) ?? super.renew(id, options);
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#faults.revoke?.(this.engine, id) ?? super.revoke(id, options);
  }

  override lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#faults.lease?.(this.engine, id) ?? super.lease(id, options);
  }

  override compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#faults.compact?.(this.engine, through, options) ?? super.compact(through, options);
  }

  override status(options?: CallOptions): Promise<EngineStatus> {
    return this.#faults.status?.(this.engine) ?? super.status(options);
  }
}

/** Changes every batch of a watch; its way of ending stays. */
function batches(change: (batch: Batch) => readonly Batch[]): Faults {
  return {
    watch: (engine, ranges, options) =>
      mapped(() => change)(engine.watch(ranges, options), options),
  };
}

function mapped(
  make: (options: WatchOptions | undefined) => (batch: Batch) => readonly Batch[],
): Watch {
  return (inner, options) => {
    const change = make(options);
    const iterator = inner[Symbol.asyncIterator]();
    const ready: Batch[] = [];
    return {
      [Symbol.asyncIterator]: () => ({
        async next() {
          while (ready.length === 0) {
            const result = await iterator.next();
            if (result.done === true) return result;
            ready.push(...change(result.value));
          }
          return { value: ready.shift() as Batch, done: false };
        },
        async return() {
          await iterator.return?.();
          return { value: undefined, done: true };
        },
      }),
    };
  };
}

/** Every check of the transaction and of those nested in it, changed. */
function checked(
  txn: Txn,
  change: (check: NonNullable<Txn['when']>[number]) => NonNullable<Txn['when']>,
): Txn {
  const deeper = (operations: Txn['apply']): Txn['apply'] =>
    operations?.map((operation) =>
      operation.type === 'txn' ? { type: 'txn', txn: checked(operation.txn, change) } : operation,
    );
  return {
    when: txn.when?.flatMap(change),
    apply: deeper(txn.apply),
    otherwise: deeper(txn.otherwise),
  };
}

async function revisionOf(engine: Engine): Promise<Revision> {
  return (await engine.status()).revision;
}

function shift(delta: number): (outcome: Outcome) => Outcome {
  return (outcome) => ({ ...outcome, revision: outcome.revision + delta });
}

const orderFaults: Mutation[] = [
  {
    rule: 'K1',
    fault: 'two commits that follow each other answer with one revision',
    plant: faults({
      commit: async (engine, txn, options) => {
        const outcome = await engine.commit(txn, options);
        return { ...outcome, revision: outcome.revision - ((outcome.revision + 1) % 2) };
      },
    }),
  },
  {
    rule: 'K1',
    fault: 'a read of the present answers from a moment before',
    plant: faults({
      read: async (engine, query, options) => {
        const at = Math.max((await engine.status()).compacted, (await revisionOf(engine)) - 1);
        return engine.read({ at, ...query }, options);
      },
    }),
  },
  {
    rule: 'K1',
    fault: 'revisions are no whole numbers',
    plant: faults({
      commit: (engine, txn, options) => engine.commit(txn, options).then(shift(0.5)),
    }),
  },
];

const atomicFaults: Mutation[] = [
  {
    rule: 'K2',
    fault: 'a commit is applied operation by operation',
    plant: faults({
      commit: async (engine, txn, options) => {
        if (txn.when !== undefined || txn.otherwise !== undefined)
          return engine.commit(txn, options);
        let last: Outcome | undefined;
        const results = [];
        for (const operation of txn.apply ?? []) {
          last = await engine.commit({ apply: [operation] }, options);
          results.push(...last.results);
        }
        return last === undefined ? engine.commit(txn, options) : { ...last, results };
      },
    }),
  },
  {
    rule: 'K2',
    fault: 'a commit that changes nothing advances the revision',
    plant: faults({
      commit: async (engine, txn, options) => {
        const before = await revisionOf(engine);
        const outcome = await engine.commit(txn, options);
        if (outcome.revision !== before) return outcome;
        await engine.commit({ apply: [{ type: 'put', key: '\x01', value: '' }] });
        return engine
          .commit({ apply: [{ type: 'delete', key: '\x01' }] })
          .then((o) => ({ ...outcome, revision: o.revision }));
      },
    }),
  },
  {
    rule: 'K2',
    fault: 'a watch gets a revision in pieces',
    plant: faults(
      batches((batch) =>
        batch.changes.map((change) => ({ revision: batch.revision, changes: [change] })),
      ),
    ),
  },
];

const checkFaults: Mutation[] = [
  {
    rule: 'K3',
    fault: 'nested checks see what the commit has written',
    plant: faults({
      commit: async (engine, txn, options) => {
        const split = txn.apply?.findIndex((operation) => operation.type === 'txn') ?? -1;
        if (split <= 0 || txn.when !== undefined) return engine.commit(txn, options);
        const first = await engine.commit({ apply: txn.apply?.slice(0, split) }, options);
        const rest = await engine.commit({ apply: txn.apply?.slice(split) }, options);
        return { ...rest, results: [...first.results, ...rest.results] };
      },
    }),
  },
  {
    rule: 'K3',
    fault: 'a check on a range looks at its first key alone',
    plant: faults({
      commit: async (engine, txn, options) => {
        const first = new Map<string, string>();
        for (const check of txn.when ?? []) {
          if (check.end === undefined) continue;
          const { entries } = await engine.read({ key: check.key, end: check.end, limit: 1 });
          if (entries[0] !== undefined) first.set(check.key, entries[0].key);
        }
        const narrowed = checked(txn, ({ end, ...check }) => {
          const key = first.get(check.key);
          return [end === undefined || key === undefined ? { ...check, end } : { ...check, key }];
        });
        return engine.commit(narrowed, options);
      },
    }),
  },
  {
    rule: 'K3',
    fault: 'a value check on an absent key holds for "not equal"',
    plant: faults({
      commit: (engine, txn, options) =>
        engine.commit(
          checked(txn, (check) => (check.target === 'value' && check.is === '!=' ? [] : [check])),
          options,
        ),
    }),
  },
  {
    rule: 'K3',
    fault: 'ids of leases beyond 2^53-1 are all the same to a check',
    plant: faults({
      commit: (engine, txn, options) =>
        engine.commit(
          checked(txn, (check) =>
            check.target === 'lease' && typeof check.to === 'string'
              ? [{ ...check, to: Math.sign(Number(check.to)) * Number.MAX_SAFE_INTEGER }]
              : [check],
          ),
          options,
        ),
    }),
  },
  {
    rule: 'K3',
    fault: '"less than" means "at most"',
    plant: faults({
      commit: (engine, txn, options) =>
        engine.commit(
          checked(txn, (check) =>
            check.is === '<' && typeof check.to === 'number'
              ? [{ ...check, to: check.to + 1 }]
              : [check],
          ),
          options,
        ),
    }),
  },
];

const operationFaults: Mutation[] = [
  {
    rule: 'K4',
    fault: 'a key that is put twice takes the last value',
    plant: faults({
      commit: (engine, txn, options) => {
        const last = new Map(
          (txn.apply ?? []).map((operation, n) => [
            operation.type === 'put' ? operation.key : n,
            operation,
          ]),
        );
        return engine.commit({ ...txn, apply: [...last.values()] }, options);
      },
    }),
  },
  {
    rule: 'K4',
    fault: 'reads in a commit see the state before it',
    plant: faults({
      commit: async (engine, txn, options) => {
        const before = await engine.read({ key: '', end: '' });
        const outcome = await engine.commit(txn, options);
        const results = outcome.results.map((result) =>
          result.type === 'read' ? { type: 'read' as const, reading: before } : result,
        );
        return { ...outcome, results };
      },
    }),
  },
  {
    rule: 'K4',
    fault: 'a delete does not tell what it removed',
    plant: faults({
      commit: async (engine, txn, options) => {
        const outcome = await engine.commit(txn, options);
        const results = outcome.results.map((result) =>
          result.type === 'delete' ? { ...result, previous: [] } : result,
        );
        return { ...outcome, results };
      },
    }),
  },
];

const keyFaults: Mutation[] = [
  {
    rule: 'K5',
    fault: 'keys are ordered as the locale does',
    plant: faults({
      read: async (engine, query, options) => {
        const reading = await engine.read(query, options);
        return {
          ...reading,
          entries: [...reading.entries].sort((a, b) => a.key.localeCompare(b.key)),
        };
      },
    }),
  },
  {
    rule: 'K5',
    fault: 'the empty end means "nothing"',
    plant: faults({
      read: (engine, query, options) => {
        const end = query.end === '' && query.key !== '' ? undefined : query.end;
        return engine.read({ ...query, end }, options);
      },
    }),
  },
  {
    rule: 'K5',
    fault: 'bytes above 0x7f are read as UTF-8',
    plant: faults({
      read: async (engine, query, options) => {
        const reading = await engine.read(query, options);
        const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');
        return {
          ...reading,
          entries: reading.entries.map((entry) => ({ ...entry, value: text(entry.value) })),
        };
      },
    }),
  },
];

const limitFaults: Mutation[] = [
  {
    rule: 'K6',
    fault: 'a value one byte over the limit is cut',
    plant: faults({
      commit: (engine, txn, options) => {
        const apply = txn.apply?.map((operation) =>
          operation.type === 'put' && typeof operation.value === 'string'
            ? { ...operation, value: operation.value.slice(0, 1_048_576) }
            : operation,
        );
        return engine.commit({ ...txn, apply }, options);
      },
    }),
  },
  {
    rule: 'K6',
    fault: 'nested operations are not counted',
    plant: faults({
      commit: async (engine, txn, options) => {
        const nested = (txn.otherwise ?? []).some((operation) => operation.type === 'txn');
        return engine.commit(nested ? { ...txn, otherwise: [] } : txn, options);
      },
    }),
  },
  {
    rule: 'K6',
    fault: 'the error does not name the limit',
    plant: faults({
      commit: (engine, txn, options) =>
        engine.commit(txn, options).catch((error: unknown) => {
          throw isWaymarkError(error, 'too_large')
            ? new WaymarkError('too_large', error.message)
            : error;
        }),
    }),
  },
];

const readFaults: Mutation[] = [
  {
    rule: 'K7',
    fault: 'the limit is applied before the filters',
    plant: faults({
      read: async (engine, query, options) => {
        const { minModRevision = 0, minCreateRevision = 0, ...rest } = query;
        const reading = await engine.read(rest, options);
        const passes = reading.entries.filter(
          (entry) =>
            entry.modRevision >= minModRevision && entry.createRevision >= minCreateRevision,
        );
        return { ...reading, entries: passes };
      },
    }),
  },
  {
    rule: 'K7',
    fault: 'the limit is ignored',
    plant: faults({
      read: (engine, { limit: _, ...query }, options) => engine.read(query, options),
    }),
  },
  {
    rule: 'K7',
    fault: 'the count ends with the limit',
    plant: faults({
      read: async (engine, query, options) => {
        const reading = await engine.read(query, options);
        return { ...reading, count: reading.entries.length };
      },
    }),
  },
  {
    rule: 'K7',
    fault: 'the past is the present',
    plant: faults({ read: (engine, { at: _, ...query }, options) => engine.read(query, options) }),
  },
];

const watchFaults: Mutation[] = [
  {
    rule: 'K8',
    fault: 'an event in ten is dropped',
    plant: faults(
      batches(({ revision, changes }) => [
        { revision, changes: changes.filter(({ entry }) => entry.modRevision % 10 !== 0) },
      ]),
    ),
  },
  {
    rule: 'K8',
    fault: 'deletes are not delivered',
    plant: faults(
      batches(({ revision, changes }) => [
        { revision, changes: changes.filter(({ kind }) => kind !== 'delete') },
      ]),
    ),
  },
  {
    rule: 'K8',
    fault: 'an event comes twice',
    plant: faults(
      batches(({ revision, changes }) => [
        { revision, changes: [...changes, ...changes.slice(-1)] },
      ]),
    ),
  },
  {
    rule: 'K8',
    fault: 'resume is off by one: it begins with the revision itself',
    plant: faults({
      watch: (engine, ranges, options) =>
        engine.watch(ranges, options?.after ? { ...options, after: options.after - 1 } : options),
    }),
  },
  {
    rule: 'K8',
    fault: 'a bookmark is told before the events it passes',
    plant: faults(
      batches((batch) =>
        batch.changes.length === 0 ? [batch] : [{ ...batch, changes: [] }, batch],
      ),
    ),
  },
  {
    rule: 'K8',
    fault: 'the order within the union is by range',
    plant: faults(
      batches(({ revision, changes }) => [
        { revision, changes: [...changes].sort((a, b) => (a.entry.key < b.entry.key ? -1 : 1)) },
      ]),
    ),
  },
  {
    rule: 'K8',
    fault: 'another identity is served',
    plant: faults({
      watch: (engine, ranges, options) => engine.watch(ranges, { ...options, identity: undefined }),
    }),
  },
];

const historyFaults: Mutation[] = [
  {
    rule: 'K9',
    fault: 'a watch below the compaction point silently begins at it',
    plant: faults({
      watch: (engine, ranges, options) => lateWatch(engine, ranges, options),
    }),
  },
  {
    rule: 'K9',
    fault: 'a read below the compaction point answers from the point',
    plant: faults({
      read: (engine, query, options) =>
        engine.read(query, options).catch((error: unknown) => {
          if (!isWaymarkError(error, 'compacted')) throw error;
          return engine.read({ ...query, at: error.facts.compacted }, options);
        }),
    }),
  },
  {
    rule: 'K9',
    fault: 'compaction takes the state at the point too',
    plant: faults({
      compact: async (engine, through, options) =>
        engine.compact(Math.min(through + 1, Math.max(through, await revisionOf(engine))), options),
    }),
  },
  {
    rule: 'K9',
    fault: 'the future is the present',
    plant: faults({
      read: async (engine, query, options) => {
        const present = await revisionOf(engine);
        const at = query.at === undefined ? undefined : Math.min(query.at, present);
        return engine.read({ ...query, at }, options);
      },
    }),
  },
];

const leaseFaults: Mutation[] = [
  {
    rule: 'K10',
    fault: 'an id that is asked for is rounded, as JSON is by many',
    plant: faults({
      grant: (engine, ttlMs, options) => {
        const { id } = options ?? {};
        const rounded = typeof id === 'string' ? toLeaseId(BigInt(Number(id)) - 1_024n) : id;
        return engine.grant(ttlMs, { ...options, id: rounded });
      },
    }),
  },
  {
    rule: 'K10',
    fault: 'a lease ends early',
    plant: faults({
      grant: async (engine, ttlMs, options) => {
        const lease = await engine.grant(ttlMs >= 2_000 ? ttlMs - 1_000 : ttlMs, options);
        return { ...lease, ttlMs: Math.max(lease.ttlMs, ttlMs) };
      },
    }),
  },
  {
    rule: 'K10',
    fault: 'a renewal does nothing',
    plant: faults({ renew: async (engine, id) => (await engine.lease(id)) ?? engine.renew(id) }),
  },
  {
    rule: 'K10',
    fault: 'the keys of a lease go one by one',
    plant: faults({
      revoke: async (engine, id) => {
        for (const key of (await engine.lease(id))?.keys ?? []) {
          await engine.commit({ apply: [{ type: 'delete', key }] });
        }
        return engine.revoke(id);
      },
    }),
  },
  {
    rule: 'K10',
    fault: 'a revoked lease leaves its keys',
    plant: faults({
      revoke: async (engine, id) => {
        for (const key of (await engine.lease(id))?.keys ?? []) {
          await engine.commit({ apply: [{ type: 'put', key, value: '', keepValue: true }] });
        }
        return engine.revoke(id);
      },
    }),
  },
  {
    rule: 'K10',
    fault: 'expiry looks like a delete',
    plant: faults(
      batches(({ revision, changes }) => [
        {
          revision,
          changes: changes.map((change) =>
            change.kind === 'expire' ? { ...change, kind: 'delete' } : change,
          ),
        },
      ]),
    ),
  },
];

const outcomeFaults: Mutation[] = [
  {
    rule: 'K11',
    fault: 'what was applied is told as unavailable',
    plant: (engine) => {
      let calls = 0;
      const commit: Faults['commit'] = async (inner, txn, options) => {
        const outcome = await inner.commit(txn, options);
        if (++calls % 7 === 0) throw new WaymarkError('unavailable', 'planted');
        return outcome;
      };
      return new Mutated(engine, { commit });
    },
  },
  {
    rule: 'K11',
    fault: 'a commit is answered and was not applied',
    plant: (engine) => {
      let calls = 0;
      const commit: Faults['commit'] = async (inner, txn, options) => {
        if (++calls % 7 !== 0) return inner.commit(txn, options);
        const { results: _, ...outcome } = await inner.commit({});
        return { ...outcome, results: (txn.apply ?? []).map(() => ({ type: 'put' as const })) };
      };
      return new Mutated(engine, { commit });
    },
  },
  {
    rule: 'K11',
    fault: 'an aborted commit is sent all the same',
    plant: faults({
      commit: async (engine, txn, options) => {
        const outcome = await engine.commit(txn);
        options?.signal?.throwIfAborted();
        return outcome;
      },
    }),
  },
  {
    rule: 'K11',
    fault: 'a refusal is an error of another kind',
    plant: faults({
      commit: (engine, txn, options) =>
        engine.commit(txn, options).catch((error: unknown) => {
          throw new TypeError(String(error));
        }),
    }),
  },
];

const waistFaults: Mutation[] = [
  {
    rule: 'K12',
    fault: 'a method is left out',
    plant: (engine) =>
      Object.assign(new Mutated(engine, {}), { leases: undefined }) as unknown as Engine,
  },
  {
    rule: 'K12',
    fault: 'the identity changes from call to call',
    plant: faults({
      status: async (engine) => ({
        ...(await engine.status()),
        identity: String(systemClock.now()),
      }),
    }),
  },
  {
    rule: 'K12',
    fault: 'the count of keys forgets deletes',
    plant: (engine) => {
      let most = 0;
      const status: Faults['status'] = async (inner) => {
        const told = await inner.status();
        most = Math.max(most, told.keys);
        return { ...told, keys: most };
      };
      return new Mutated(engine, { status });
    },
  },
];

async function* lateWatch(
  engine: Engine,
  ranges: readonly KeyRange[],
  options: WatchOptions | undefined,
): AsyncGenerator<Batch> {
  const { compacted } = await engine.status();
  const after = options?.after === undefined ? undefined : Math.max(options.after, compacted);
  yield* engine.watch(ranges, { ...options, after });
}

/** The control: the same wrapper with nothing planted passes everything. */
export const nothingPlanted: Mutation['plant'] = faults({});

/** Every mutation that is tried. A new one is added wherever a fault got past the suite. */
export const mutations: readonly Mutation[] = [
  ...orderFaults,
  ...atomicFaults,
  ...checkFaults,
  ...operationFaults,
  ...keyFaults,
  ...limitFaults,
  ...readFaults,
  ...watchFaults,
  ...historyFaults,
  ...leaseFaults,
  ...outcomeFaults,
  ...waistFaults,
];
