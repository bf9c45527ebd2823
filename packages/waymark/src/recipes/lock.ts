import type {
  CallOptions,
  Check,
  Entry,
  Operation,
  Outcome,
  Revision,
  Txn,
} from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { AcquireRequest, HeldKeys } from '../core/host.js';
import { settled, settledValue } from '../core/settled.js';
import { askAgain, unlessAskedAgain } from './asked-again.js';
import type { LockPlan, RequestKeys } from './lock-plan.js';
import { aheadOf, decodeParty, encodeParty, readsOf, standing } from './lock-queue.js';
import { checkRequest, ownOf } from './lock-request.js';
import { type Claim, turn } from './lock-turn.js';
import { type Leased, type LockGround, put } from './lock-writes.js';
import { waiting } from './waiting.js';
import { asLost, type Wording } from './wording.js';

/**
 * The lock (rules L1 to L13 in docs/spec/recipes.md). A grant writes a leased *held mark*, whose createRevision is the fencing token.
 * A request that finds the lock free is granted in its first commit; another puts a leased *place*, and is granted when no conflicting
 * place is older and no conflicting mark stands, in one commit as well. The place stays until the release: who waits behind it waits on. A waiter watches the youngest conflicting older place and its own alone, as
 * etcd's client/v3/concurrency does, so a release wakes no herd; unlike there, each grant is a commit guarded by the waiter's own place,
 * so a waiter whose lease died can never be granted.
 */
export function acquire(
  ground: LockGround,
  request: AcquireRequest,
  options: CallOptions | undefined,
): Promise<number | null> {
  try {
    checkRequest(request);
    const asked = requested(ground, request);
    const first = ground.engine.commit({ when: asked.first, apply: asked.apply });
    // A lock that is free is granted in the turn in which it was asked for, where the engine answers at once.
    const quick = settledValue(first);
    if (quick?.succeeded === true) return settled(quick.revision);
    return unlessFree(ground, request, asked, first, options);
  } catch (error) {
    return Promise.reject(asLost(error, ground.words.hold));
  }
}

/** A request, as its first commit puts it. */
interface Asked {
  readonly plan: LockPlan;
  readonly keys: RequestKeys;
  readonly leasedBy: Leased;
  /** What the first commit looks at: less than `free` does while nobody is thought to wait. */
  readonly first: readonly Check[];
  readonly quiet: boolean;
  readonly apply: readonly Operation[];
}

function requested({ plans }: LockGround, request: AcquireRequest): Asked {
  const plan = plans.of(request);
  const keys = plan.keysOf(request.id);
  const leasedBy: Leased = { value: encodeParty(request), lease: request.lease };
  const quiet = plans.presumeQuiet();
  const first = quiet ? plan.freeWhereQuiet(keys) : plan.free(keys);
  return { plan, keys, leasedBy, first, quiet, apply: [put(keys.mark, leasedBy)] };
}

async function unlessFree(
  ground: LockGround,
  request: AcquireRequest,
  { plan, keys, leasedBy, quiet, apply }: Asked,
  first: Promise<Outcome>,
  options: CallOptions | undefined,
): Promise<number | null> {
  const { engine, plans, clock } = ground;
  try {
    const quick = await first;
    if (quick.succeeded) return quick.revision;
    if (quiet) plans.foundBusy();
    const when = plan.free(keys);
    const look: Operation[] = readsOf(keys);
    if (request.waitMs === 0) {
      const now = await engine.commit({ when, apply, otherwise: look });
      if (now.succeeded) return now.revision;
      return ownOf(standing(now.results).mark, request)?.createRevision ?? null;
    }
    const hold = plan.hold(request.id);
    // The queue is read before the place is put: it cannot be in its own way.
    const otherwise = look.concat(plan.look, join(keys, waitingAs(request, leasedBy)));
    let entered: Outcome;
    let asked: Revision | null;
    // Who has left by now may have come back, and given up what it asked for: it puts no place, and writes none anew.
    do {
      options?.signal?.throwIfAborted();
      entered = await engine.commit({ when, apply, otherwise });
      if (entered.succeeded) return entered.revision;
      // Before it waits: who stops waiting takes away what stands under the id.
      const { mark, place } = standing(entered.results);
      for (const found of [mark, place]) ownOf(found, request);
      if (mark !== null) return mark.createRevision;
      options?.signal?.throwIfAborted();
      asked = place === null ? entered.revision : await askAgain(engine, place);
    } while (asked === null);
    const bounds = { path: hold.path, waitMs: request.waitMs, signal: options?.signal };
    const leave = giveUp(keys, asked);
    return await waiting(
      clock,
      bounds,
      async () => (await engine.commit(leave)).succeeded,
      (signal) => queue(ground, request, { hold, keys, leasedBy }, entered, signal),
    );
  } catch (error) {
    throw asLost(error, ground.words.hold);
  }
}

/** Its client may have asked for it over another server, which waits for it now, or granted it. */
function giveUp({ place, mark }: RequestKeys, asked: Revision): Txn {
  const { when = [], apply } = unlessAskedAgain(place, asked);
  return { when: [{ key: mark, target: 'version', is: '=', to: 0 }, ...when], apply };
}

/** Where anything stands under the same id, nothing is put: it may be another's. */
function join({ place, mark }: RequestKeys, waits: Leased): Operation {
  const when = [place, mark].map((key): Check => ({ key, target: 'version', is: '=', to: 0 }));
  return { type: 'txn', txn: { when, apply: [put(place, waits)] } };
}

/** What a holder says is not kept for those who wait: a request has room for it once. */
function waitingAs({ session, owner, says }: AcquireRequest, leasedBy: Leased): Leased {
  return says === undefined ? leasedBy : { ...leasedBy, value: encodeParty({ session, owner }) };
}

async function queue(
  { engine, plans, words }: LockGround,
  request: AcquireRequest,
  asked: { readonly hold: HeldKeys; readonly keys: RequestKeys; readonly leasedBy: Leased },
  { results, revision }: Outcome,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { hold, keys, leasedBy } = asked;
  const plan = plans.of(hold);
  const { place } = standing(results);
  const created = place?.createRevision ?? revision;
  const claim: Claim = {
    plan,
    keys,
    hold,
    own: [keys.mark],
    stands: [{ key: keys.place, target: 'create', is: '=', to: created }],
    clear: plan.clearBefore(created),
    apply: [put(keys.mark, leasedBy)],
    created,
    refuse: (inTheWay) => refuseOwn(words, request, inTheWay),
  };
  // A repeated request finds the place it put before, in its old position, and looks anew from there.
  const first = place === null ? aheadOf(plan, results.slice(2, -1), revision, claim.own) : null;
  // Also behind others a session would wait for itself.
  for (const holder of first?.holders ?? []) refuseOwn(words, request, holder);
  return await turn(engine, claim, first, signal);
}

function refuseOwn(words: Wording, request: AcquireRequest, inTheWay: Entry): void {
  const { session, owner } = decodeParty(inTheWay.value);
  if (session !== request.session) return;
  const { path } = request;
  throw new WaymarkError('conflict', words.own(path), { path, holder: owner });
}
