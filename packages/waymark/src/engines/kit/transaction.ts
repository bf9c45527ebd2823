import type {
  Check,
  DeleteOperation,
  DeleteResult,
  LeaseId,
  Operation,
  OperationResult,
  Outcome,
  PutOperation,
  PutResult,
  Query,
  Reading,
  Revision,
  Txn,
} from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import type { KeyIndex } from './key-index.js';
import { leaseNotFound } from './lease-table.js';

/** The leases a put may attach to. */
interface Leases {
  has(id: LeaseId): boolean;
}

/** What a transaction is evaluated against; the writers apply and record at the commit's revision. */
export interface TransactionState {
  readonly index: KeyIndex;
  readonly leases: Leases;
  /** The newest revision. */
  readonly head: Revision;
  /** @throws {WaymarkError} `future_revision`, `compacted` (K9) */
  refuseOutsideHistory(at: Revision, present: Revision): void;
  /** Reads a range as of an earlier revision. */
  readPast(query: Query, at: Revision, revision: Revision): Reading;
  put(operation: PutOperation, revision: Revision): PutResult;
  delete(operation: DeleteOperation, revision: Revision): DeleteResult;
}

type MutableReading = { -readonly [K in keyof Reading]: Reading[K] };

/** The branches that will run, decided before anything is changed. */
interface Plan {
  readonly succeeded: boolean;
  readonly branch: readonly Operation[];
  /** One per nested transaction of the branch, in order. */
  readonly nested: readonly Plan[] | null;
}

const nothing: readonly Operation[] = [];

/**
 * Evaluates a validated transaction: first every check, nested ones too, against the state as it is (K3), and everything that
 * can refuse the commit; only then the operations, so a refused commit has changed nothing (K2).
 *
 * @param changed  tells after the run whether anything was written
 */
export function evaluate(state: TransactionState, txn: Txn, changed: () => boolean): Outcome {
  const revision = state.head + 1;
  const succeeded = allHold(state, txn.when);
  const branch = branchOf(txn, succeeded);
  const [first] = branch;
  if (branch.length === 1 && first?.type === 'put') {
    // The hottest commit of all needs no plan.
    refuseBadPut(state, first);
    return { revision, succeeded, results: [state.put(first, revision)] };
  }
  const plan = planOf(state, succeeded, branch);
  refuseReads(state, plan);
  const results = run(state, plan, revision);
  const outcomeRevision = changed() ? revision : state.head;
  stamp(results, outcomeRevision);
  return { revision: outcomeRevision, succeeded, results };
}

function branchOf(txn: Txn, succeeded: boolean): readonly Operation[] {
  return (succeeded ? txn.apply : txn.otherwise) ?? nothing;
}

function planOf(state: TransactionState, succeeded: boolean, branch: readonly Operation[]): Plan {
  let nested: Plan[] | null = null;
  for (const operation of branch) {
    if (operation.type === 'put') refuseBadPut(state, operation);
    else if (operation.type === 'txn') (nested ??= []).push(planNested(state, operation.txn));
  }
  return { succeeded, branch, nested };
}

/** Puts are refused before reads are, wherever they stand: as etcd does it. */
function refuseReads(state: TransactionState, { branch, nested }: Plan): void {
  let next = 0;
  for (const operation of branch) {
    if (operation.type === 'txn') refuseReads(state, nested?.[next++] as Plan);
    else if (operation.type === 'read' && operation.at !== undefined) {
      state.refuseOutsideHistory(operation.at, state.head);
    }
  }
}

function planNested(state: TransactionState, txn: Txn): Plan {
  const succeeded = allHold(state, txn.when);
  return planOf(state, succeeded, branchOf(txn, succeeded));
}

function allHold(state: TransactionState, checks: readonly Check[] | undefined): boolean {
  if (checks === undefined) return true;
  for (let i = 0; i < checks.length; i++) {
    if (!state.index.holds(checks[i] as Check)) return false;
  }
  return true;
}

function refuseBadPut(state: TransactionState, operation: PutOperation): void {
  const { lease } = operation;
  if (operation.keepValue === true || operation.keepLease === true) {
    const slot = state.index.get(operation.key);
    if (slot === undefined || slot.version === 0) {
      throw new WaymarkError(
        'not_found',
        'the key whose value or lease is to be kept does not exist',
      );
    }
  }
  if (lease !== undefined && lease !== 0 && !state.leases.has(lease)) throw leaseNotFound(lease);
}

function run(state: TransactionState, plan: Plan, revision: Revision): OperationResult[] {
  const nested = plan.nested?.values();
  return plan.branch.map((operation) => {
    switch (operation.type) {
      case 'put':
        return state.put(operation, revision);
      case 'delete':
        return state.delete(operation, revision);
      case 'read':
        return { type: 'read', reading: readNow(state, operation, revision) };
      case 'txn': {
        const plan = nested?.next().value as Plan;
        return { type: 'txn', succeeded: plan.succeeded, results: run(state, plan, revision) };
      }
    }
  });
}

/** What was read is of the commit's revision, known only once it is told whether anything was written. */
function stamp(results: readonly OperationResult[], revision: Revision): void {
  for (const result of results) {
    if (result.type === 'read') (result.reading as MutableReading).revision = revision;
    else if (result.type === 'txn') stamp(result.results, revision);
  }
}

/** A read in a commit sees its earlier writes (K7), unless it asks for the past. */
function readNow(
  state: TransactionState,
  operation: Operation & { type: 'read' },
  revision: Revision,
): MutableReading {
  return operation.at === undefined
    ? state.index.read(operation, Infinity, null, revision)
    : state.readPast(operation, operation.at, revision);
}
