import fc from 'fast-check';
import type { CheckTarget, Comparison, LeaseId, OrderBy } from '../../core/engine.js';
import { prefixEnd } from '../../core/ranges.js';

/**
 * Random operations as plain data. Revisions and leases are named relative to the run, so that a step makes sense wherever it
 * stands: a revision as so many below the present (negative: above it), a lease as the n-th last granted (0: none).
 */
export type Step =
  | { readonly do: 'commit'; readonly txn: TxnStep; readonly alone: boolean }
  | { readonly do: 'read'; readonly query: QueryStep }
  | { readonly do: 'compact'; readonly below: number }
  | { readonly do: 'grant'; readonly ttlMs: number; readonly id?: LeaseId | undefined }
  | { readonly do: 'renew' | 'revoke' | 'lease'; readonly lease: number }
  | { readonly do: 'leases' | 'status' }
  | { readonly do: 'advance'; readonly steps: number }
  | {
      readonly do: 'watch';
      readonly ranges: readonly RangeStep[];
      readonly below?: number | undefined;
      readonly previous: boolean;
      /** Pulls all the time, instead of at the end of the run. */
      readonly eager: boolean;
    };

export interface RangeStep {
  readonly key: string;
  readonly end?: string | undefined;
}

export interface QueryStep extends RangeStep {
  readonly below?: number | undefined;
  readonly limit?: number | undefined;
  readonly orderBy?: OrderBy | undefined;
  readonly descending?: boolean | undefined;
  readonly keysOnly?: boolean | undefined;
  readonly countOnly?: boolean | undefined;
  readonly uncounted?: boolean | undefined;
  readonly bounds?: readonly [BoundName, number][] | undefined;
}

export type BoundName =
  'minModRevision' | 'maxModRevision' | 'minCreateRevision' | 'maxCreateRevision';

export interface CheckStep extends RangeStep {
  readonly target: CheckTarget;
  readonly is: Comparison;
  /** A version, a revision below the present, a lease or a value, as the target wants. */
  readonly number: number;
  readonly value: string;
}

export type OperationStep =
  | {
      readonly type: 'put';
      readonly key: string;
      readonly value: string;
      readonly lease: number;
      readonly flags: readonly ('previous' | 'keepValue' | 'keepLease')[];
    }
  | { readonly type: 'delete'; readonly range: RangeStep; readonly previous: boolean }
  | { readonly type: 'read'; readonly query: QueryStep }
  | { readonly type: 'txn'; readonly txn: TxnStep };

export interface TxnStep {
  readonly when: readonly CheckStep[];
  readonly apply: readonly OperationStep[];
  readonly otherwise: readonly OperationStep[];
}

/** Few, so that operations meet; odd, so that byte order and prefixes matter. */
export const universe = [
  ...['a', 'a/', 'a/b', 'a/b/c', 'a0', 'ab', 'b', '__proto__'],
  ...['\x00', '\x7f', '\x80', '\xff', '\xff\xff'],
] as const;

/**
 * TTLs and steps of the clock are such that at no step a lease is about to end: it has 1.5 s left or is 1.5 s past its
 * time, so an engine may be up to a second late (K10).
 */
export const clockStepMs = 4_000;
const ttls = [2_500, 6_500, 14_500] as const;

const key = fc.constantFrom(...universe);
const value = fc.constantFrom('', 'a', 'b', 'ab', '\x00', '\xff');
const below = fc.integer({ min: -2, max: 20 });
const lease = fc.integer({ min: 0, max: 4 });
const flag = fc.boolean();

const range: fc.Arbitrary<RangeStep> = fc.oneof(
  { weight: 4, arbitrary: key.map((one) => ({ key: one })) },
  { weight: 2, arbitrary: key.map((prefix) => ({ key: prefix, end: prefixEnd(prefix) })) },
  { weight: 2, arbitrary: fc.tuple(key, key).map(ordered) },
  { weight: 1, arbitrary: key.map((from) => ({ key: from, end: '' })) },
  { weight: 1, arbitrary: fc.constant({ key: '', end: '' }) },
);

function ordered([a, b]: readonly [string, string]): RangeStep {
  return a === b ? { key: a } : a < b ? { key: a, end: b } : { key: b, end: a };
}

const bound = fc.tuple(
  fc.constantFrom<BoundName>(
    'minModRevision',
    'maxModRevision',
    'minCreateRevision',
    'maxCreateRevision',
  ),
  fc.nat(12),
);

const query: fc.Arbitrary<QueryStep> = fc
  .tuple(
    range,
    fc.option(below, { nil: undefined, freq: 2 }),
    fc.constantFrom(undefined, undefined, 0, 1, 2, 5),
    fc.constantFrom<OrderBy | undefined>(undefined, 'key', 'create', 'mod', 'version', 'value'),
    fc.nat(15),
    fc.array(bound, { maxLength: 2 }),
  )
  .map(([where, at, limit, orderBy, bits, bounds]) => ({
    ...where,
    below: at,
    limit,
    orderBy,
    descending: (bits & 1) === 1,
    keysOnly: (bits & 6) === 6,
    countOnly: (bits & 14) === 8,
    uncounted: (bits & 13) === 4,
    bounds: bits > 9 ? bounds : undefined,
  }));

const check: fc.Arbitrary<CheckStep> = fc
  .tuple(
    range,
    fc.constantFrom<CheckTarget>('version', 'version', 'create', 'mod', 'lease', 'value'),
    fc.constantFrom<Comparison>('=', '=', '!=', '<', '>'),
    fc.nat(4),
    value,
  )
  .map(([where, target, is, number, text]) => ({ ...where, target, is, number, value: text }));

const writes: fc.Arbitrary<OperationStep> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('put' as const),
      key,
      value,
      lease,
      flags: fc.constantFrom([], [], ['previous'], ['keepValue'], ['keepLease'], [
        'previous',
        'keepValue',
        'keepLease',
      ] as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('delete' as const), range, previous: flag }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('read' as const), query }) },
);

function txnOf(operation: fc.Arbitrary<OperationStep>): fc.Arbitrary<TxnStep> {
  return fc.record({
    when: fc.array(check, { maxLength: 2 }),
    apply: fc.array(operation, { maxLength: 3 }),
    otherwise: fc.array(operation, { maxLength: 2 }),
  });
}

function nesting(inner: fc.Arbitrary<TxnStep>): fc.Arbitrary<OperationStep> {
  const nested = fc.record({ type: fc.constant('txn' as const), txn: inner });
  return fc.oneof({ weight: 4, arbitrary: writes }, { weight: 1, arbitrary: nested });
}

const one = writes.map((operation): TxnStep => ({ when: [], apply: [operation], otherwise: [] }));
const txn = fc.oneof(one, txnOf(nesting(txnOf(nesting(txnOf(writes))))));

const doing = <N extends string>(name: N): { do: fc.Arbitrary<N> } => ({ do: fc.constant(name) });

/** Of each form; the last three are the same, as numbers go. */
const askedIds: readonly LeaseId[] = [1, -1, '9223372036854775806', '9223372036854775807'];

export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ ...doing('commit'), txn, alone: flag }) },
  { weight: 8, arbitrary: fc.record({ ...doing('read'), query }) },
  { weight: 1, arbitrary: fc.record({ ...doing('compact'), below }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...doing('grant'),
      ttlMs: fc.constantFrom(...ttls),
      id: fc.constantFrom<LeaseId | undefined>(undefined, undefined, ...askedIds),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('renew' as const, 'revoke' as const, 'lease' as const),
      lease: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('leases' as const, 'status' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ ...doing('advance'), steps: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      ...doing('watch'),
      ranges: fc.array(range, { minLength: 1, maxLength: 3 }),
      below: fc.option(below, { nil: undefined, freq: 4 }),
      previous: flag,
      eager: flag,
    }),
  },
);
