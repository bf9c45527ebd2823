import type {
  Check,
  CommitOptions,
  Engine,
  Entry,
  Operation,
  Outcome,
  Txn,
} from '../core/engine.js';
import type { GuardedCommitOptions, HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { settledValue } from '../core/settled.js';
import { fixedChecks } from '../core/validate.js';
import { holdMark } from '../recipes/hold-mark.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { holdWords, lostHold } from '../recipes/wording.js';
import { checkOf, type Demand, demandsOf, writes, writtenBy } from './guard.js';
import { exactly, markFacet, parseMark } from './layout.js';
import { pathToBytes, resolvePath } from './paths.js';

/** After a namespace was seen to hold marks, so many writes are checked path by path before it is taken for unlocked again. */
const preciseWrites = 256;
/** A refusal that nothing explains was a lock released in between: the commit is tried again, at most so often. */
const attemptsMax = 16;

/** What the guard remembers of a namespace between commits. */
export class GuardMemory {
  /** Writes left before "no marks at all" is tried as the one check again. */
  precise = 0;
}

const noMarks: Demand = { range: markFacet, token: undefined, hold: undefined };
const noMarksCheck = fixedChecks([checkOf(noMarks)]);

/**
 * Commits with the guard's demands as checks of the same commit.
 *
 * @throws {WaymarkError} `locked` with holder, token and path; `lost` for a presented hold that is gone; `denied`
 */
export function commitGuarded(
  engine: Engine,
  memory: GuardMemory,
  txn: Txn,
  options: GuardedCommitOptions,
): Promise<Outcome> {
  const bare = options.under === undefined && (options.holds?.length ?? 0) === 0;
  return bare && memory.precise === 0
    ? commitUnlocked(engine, memory, txn, options)
    : commitPrecisely(engine, memory, txn, options);
}

/** The common case in one look, and in one promise: nobody holds anything here. */
function commitUnlocked(
  engine: Engine,
  memory: GuardMemory,
  txn: Txn,
  options: GuardedCommitOptions,
): Promise<Outcome> {
  const { when, apply } = txn;
  const { guard } = options;
  const commitOptions = forEngine(options);
  if (!writes(txn) || guard === false) return engine.commit(txn, commitOptions);
  if (when !== undefined && when.length > 0) {
    return commitConditional(engine, memory, txn, options);
  }
  const committed = engine.commit({ when: noMarksCheck, apply }, commitOptions);
  return unlessRefused(committed, () => commitRefused(engine, memory, txn, options));
}

function unlessRefused(
  committed: Promise<Outcome>,
  refused: () => Promise<Outcome>,
): Promise<Outcome> {
  if (settledValue(committed)?.succeeded === true) return committed;
  return committed.then((outcome) => (outcome.succeeded ? outcome : refused()));
}

/** Most conditions hold: flat beside the guard's they cost half. If not, whose it was is asked then. */
function commitConditional(
  engine: Engine,
  memory: GuardMemory,
  txn: Txn,
  options: GuardedCommitOptions,
): Promise<Outcome> {
  const { when = [], apply, otherwise } = txn;
  const commitOptions = forEngine(options);
  const nested = async (): Promise<Outcome> => {
    const outcome = await engine.commit(guardedTxn(txn, noMarksCheck), commitOptions);
    return outcome.succeeded
      ? unwrapped(txn, outcome)
      : await commitRefused(engine, memory, txn, options);
  };
  if (otherwise !== undefined) return nested();
  const committed = engine.commit({ when: [...noMarksCheck, ...when], apply }, commitOptions);
  return unlessRefused(committed, nested);
}

function commitRefused(
  engine: Engine,
  memory: GuardMemory,
  txn: Txn,
  options: GuardedCommitOptions,
): Promise<Outcome> {
  memory.precise = preciseWrites;
  return commitPrecisely(engine, memory, txn, options);
}

/** Path by path. */
async function commitPrecisely(
  engine: Engine,
  memory: GuardMemory,
  txn: Txn,
  options: GuardedCommitOptions,
): Promise<Outcome> {
  const written = writtenBy(txn);
  const guarded = options.guard !== false && written.length > 0;
  const commitOptions = forEngine(options);
  if (!guarded && options.under === undefined) return await engine.commit(txn, commitOptions);
  const holds = await knownHolds(engine, options);
  const under = options.under === undefined ? [] : [await underDemand(engine, options.under)];
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    if (memory.precise > 0) memory.precise--;
    const demands = [...under, ...(guarded ? demandsOf(written, holds) : [])];
    const outcome = await engine.commit(guardedTxn(txn, demands.map(checkOf)), commitOptions);
    if (outcome.succeeded) return unwrapped(txn, outcome);
    await explainRefusal(engine, demands);
  }
  throw new WaymarkError(
    'overloaded',
    'locks on these paths change faster than the write could be checked',
  );
}

function forEngine({ signal, alone, wide }: GuardedCommitOptions): CommitOptions | undefined {
  const plain = signal === undefined && alone !== true && wide !== true;
  return plain ? undefined : { signal, alone, wide };
}

function guardedTxn(txn: Txn, when: readonly Check[]): Txn {
  const plain = txn.when === undefined || txn.when.length === 0;
  const apply: readonly Operation[] = plain ? (txn.apply ?? []) : [{ type: 'txn', txn }];
  return { when, apply };
}

function unwrapped(txn: Txn, outcome: Outcome): Outcome {
  if (txn.when === undefined || txn.when.length === 0) return outcome;
  const [nested] = outcome.results;
  if (nested?.type !== 'txn')
    throw new WaymarkError('internal', 'a guarded commit answers its nested one');
  return { revision: outcome.revision, succeeded: nested.succeeded, results: nested.results };
}

/** An exclusive hold is alone on its path, so the range tells; a shared one stands beside others and is named by its own mark. */
async function underDemand(engine: Engine, hold: HoldProof): Promise<Demand> {
  const range = exactly('h', pathToBytes(resolvePath('/', hold.path)));
  if (hold.mode === 'exclusive') return { range, token: hold.token, hold };
  const mark = await markOf(engine, hold);
  return { range: { key: mark.key }, token: hold.token, hold };
}

/** @throws {WaymarkError} `lost` */
async function markOf(engine: Engine, hold: HoldProof): Promise<Entry> {
  const mark = await holdMark(engine, hold);
  if (mark === null) throw lostHold(hold.path, holdWords);
  return mark;
}

/** The writer's exclusive holds with what they cover; a proof of path and token alone is looked up by its mark. */
async function knownHolds(engine: Engine, options: GuardedCommitOptions): Promise<HoldProof[]> {
  const proofs =
    options.under === undefined ? (options.holds ?? []) : [options.under, ...(options.holds ?? [])];
  const known: HoldProof[] = [];
  for (const proof of proofs) {
    if (proof.tree !== undefined && proof.mode !== undefined) {
      if (proof.mode === 'exclusive') known.push(proof);
      continue;
    }
    const mark = await markOf(engine, proof);
    // Who leads may write under its term, and locks nothing by it.
    if (!mark.key.startsWith('h')) continue;
    const { path, tree, mode } = parseMark(mark.key);
    if (mode === 'exclusive') known.push({ path, token: proof.token, tree, mode });
  }
  return known;
}

/** Looks who is in the way. Returns when nobody is any more: then the commit is worth another try. */
async function explainRefusal(engine: Engine, demands: readonly Demand[]): Promise<void> {
  for (const { range, token, hold } of demands) {
    const { entries } = await engine.read({ ...range, limit: 8, uncounted: true });
    if (hold !== undefined) {
      if (!entries.some((entry) => entry.createRevision === token))
        throw lostHold(hold.path, holdWords);
      continue;
    }
    const [mark] = entries;
    if (mark === undefined) continue;
    const { path, tree, mode } = parseMark(mark.key);
    const { owner } = decodeParty(mark.value);
    const kind = `${mode} ${tree ? 'tree ' : ''}lock`;
    throw new WaymarkError(
      'locked',
      `${owner} holds the ${kind} on ${path}: wait for it, or write under a lock of your own`,
      { path, holder: owner, token: mark.createRevision },
    );
  }
}
