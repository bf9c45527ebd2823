import type { Clock } from '../core/clock.js';
import type {
  ByteString,
  CallOptions,
  Check,
  Engine,
  Entry,
  Operation,
  OperationResult,
  Outcome,
  ReadOperation,
} from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import type { AcquireRequest, ConvertRequest, Grant, HeldKeys } from '../core/host.js';
import type { LockPlan, LockPlans, RequestKeys } from './lock-plan.js';
import { checkHold, checkRequest } from './lock-request.js';
import {
  type Ahead,
  aheadOf,
  decodeParty,
  encodeParty,
  entriesOf,
  readsOf,
  standing,
} from './lock-queue.js';
import { waiting } from './waiting.js';

/**
 * The lock (rules L1 to L13 in docs/spec/recipes.md). A request puts a leased *place*; it is granted when no conflicting place is
 * older and no conflicting mark stands; the grant writes a *held mark*, whose createRevision is the fencing token. The free path is
 * one commit, and so is a turn that has come. A waiter watches the youngest conflicting older place and its own alone, as
 * etcd's client/v3/concurrency does, so a release wakes no herd; unlike there, each grant is a commit guarded by the waiter's own place,
 * so a waiter whose lease died can never be granted.
 */
export interface LockGround {
  /** The whole engine: plans name its keys. */
  readonly engine: Engine;
  readonly plans: LockPlans;
  readonly clock: Clock;
}

interface Leased {
  readonly value: ByteString;
  readonly lease: number;
}

export async function acquire(
  ground: LockGround,
  request: AcquireRequest,
  options: CallOptions | undefined,
): Promise<Grant | null> {
  checkRequest(request);
  const { engine, plans, clock } = ground;
  const plan = plans.of(request);
  const hold = plan.hold(request.id);
  const keys = plan.keysOf(request.id);
  const leasedBy: Leased = { value: encodeParty(request), lease: request.lease };
  const apply = grantOperations(keys, leasedBy);
  const look: Operation[] = readsOf(keys);
  try {
    const quick = await engine.commit({ when: plan.free, apply, otherwise: look });
    if (quick.succeeded) return { token: quick.revision, hold };
    const granted = standing(quick.results).mark;
    if (granted !== null) return { token: granted.createRevision, hold };
    if (request.waitMs === 0) return null;
    // The queue is read before the place is put: it cannot be in its own way.
    const otherwise = look.concat(plan.look, { type: 'put', key: keys.place, ...leasedBy });
    const entered = await engine.commit({ when: plan.free, apply, otherwise });
    if (entered.succeeded) return { token: entered.revision, hold };
    const bounds = { path: hold.path, waitMs: request.waitMs, signal: options?.signal };
    return await waiting(clock, bounds, giveUp(ground, hold), (signal) =>
      queue(ground, request, { hold, keys, leasedBy }, entered, signal),
    );
  } catch (error) {
    throw asLost(error);
  }
}

async function queue(
  { engine, plans }: LockGround,
  request: AcquireRequest,
  asked: { readonly hold: HeldKeys; readonly keys: RequestKeys; readonly leasedBy: Leased },
  { results, revision }: Outcome,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  const { hold, keys, leasedBy } = asked;
  const plan = plans.of(hold);
  const { mark, place } = standing(results);
  if (mark !== null) return { token: mark.createRevision, hold };
  const created = place?.createRevision ?? revision;
  const claim: Claim = {
    plan,
    keys,
    hold,
    own: [keys.mark],
    stands: [{ key: keys.place, target: 'create', is: '=', to: created }],
    clear: plan.clearBefore(created),
    apply: [{ type: 'put', key: keys.mark, ...leasedBy }],
    look: [...readsOf(keys), ...plan.lookBefore(created)],
    refuse: (inTheWay) => refuseOwn(request, inTheWay),
  };
  // A repeated request finds the place it put before, in its old position, and looks anew from there.
  if (place !== null) return await lookAndTurn(engine, claim, signal);
  const ahead = aheadOf(plan, results.slice(2, -1), revision, claim.own);
  return await turn(engine, claim, ahead, signal);
}

/** @returns false when nothing was held or waited for */
export async function release({ engine, plans }: LockGround, hold: HeldKeys): Promise<boolean> {
  checkHold(hold);
  const { results } = await engine.commit({ apply: removal(plans.of(hold).keysOf(hold.id)) });
  for (const result of results) if (result.type === 'delete' && result.deleted > 0) return true;
  return false;
}

/** Changes the mode of a hold, never letting another in between. @throws {WaymarkError} `lost`, `conflict`, `timeout` */
export async function convert(
  ground: LockGround,
  hold: HeldKeys,
  to: ConvertRequest,
  options: CallOptions | undefined,
): Promise<Grant> {
  const { engine, plans } = ground;
  checkHold(hold);
  options?.signal?.throwIfAborted();
  const keys = plans.of(hold).keysOf(hold.id);
  const mark = (await engine.read({ key: keys.mark })).entries[0];
  if (mark === undefined) throw lostHold(hold.path);
  if (to.mode === hold.mode) return { token: mark.createRevision, hold };
  const party = { value: mark.value, lease: mark.lease };
  const stands: Check = { key: mark.key, target: 'create', is: '=', to: mark.createRevision };
  const next: HeldKeys = { ...hold, mode: to.mode };
  if (to.mode === 'exclusive') {
    return await upgrade(ground, { hold, next, keys, stands, party, to, signal: options?.signal });
  }
  const put = grantOperations(plans.of(next).keysOf(next.id), party);
  const outcome = await engine.commit({ when: [stands], apply: [...removal(keys), ...put] });
  if (!outcome.succeeded) throw lostHold(hold.path);
  return { token: outcome.revision, hold: next };
}

interface Upgrade {
  readonly hold: HeldKeys;
  readonly next: HeldKeys;
  readonly keys: RequestKeys;
  readonly stands: Check;
  readonly party: Leased;
  readonly to: ConvertRequest;
  readonly signal: AbortSignal | undefined;
}

/**
 * The upgrade's exclusive place keeps new shared holders out; the shared hold stays until the others are gone. Two upgrades of
 * conflicting holds would wait for each other for ever: the second is refused.
 */
async function upgrade(ground: LockGround, from: Upgrade): Promise<Grant> {
  const { engine, plans } = ground;
  const { hold, next, stands, party } = from;
  const plan = plans.of(next);
  const keys = plan.keysOf(next.id);
  const put: Operation = {
    type: 'put',
    key: keys.place,
    value: `^${party.value}`,
    lease: party.lease,
  };
  const entered = await engine.commit({ when: [stands], apply: [put] });
  if (!entered.succeeded) throw lostHold(hold.path);
  await refuseSecondUpgrade(ground, next, entered.revision);
  const claim: Claim = {
    plan,
    keys,
    hold: next,
    own: [keys.mark, from.keys.mark],
    stands: [stands],
    clear: null,
    apply: [...removal(from.keys), ...grantOperations(keys, party)],
    look: [...readsOf(keys), ...plan.markReads],
    refuse: () => undefined,
  };
  const bounds = { path: hold.path, waitMs: from.to.waitMs, signal: from.signal };
  try {
    return await waiting(ground.clock, bounds, giveUp(ground, next), (signal) =>
      lookAndTurn(engine, claim, signal),
    );
  } catch (error) {
    throw asLost(error);
  }
}

async function refuseSecondUpgrade(
  ground: LockGround,
  next: HeldKeys,
  entered: number,
): Promise<void> {
  const { places } = ground.plans.of({ ...next, mode: 'shared' });
  const apply = places.map(({ key, end }): Operation => ({ type: 'read', key, end }));
  const { results } = await ground.engine.commit({ apply });
  const older = results.flatMap(entriesOf).filter((entry) => entry.createRevision < entered);
  if (!older.some((entry) => entry.value.startsWith('^'))) return;
  await release(ground, next);
  throw new WaymarkError('conflict', 'another upgrade waits here already: release, and lock anew');
}

/** A request that waits: what it looks at, and what it commits when its turn has come. */
interface Claim {
  readonly plan: LockPlan;
  readonly keys: RequestKeys;
  readonly hold: HeldKeys;
  /** Marks that are not in its way. */
  readonly own: readonly ByteString[];
  /** What the grant insists on in any case. */
  readonly stands: readonly Check[];
  /** Holds when nobody else is there but younger places: the usual case when the one waited for is gone. Null: look first. */
  readonly clear: readonly Check[] | null;
  readonly apply: readonly Operation[];
  readonly look: readonly ReadOperation[];
  readonly refuse: (inTheWay: Entry) => void;
}

/**
 * Waits until nothing is in the way, and commits the grant. Conflicting older places can only vanish, never appear; marks can appear by
 * conversion, so the grant insists that there is none, or that none of those looked at is newer than the look.
 */
async function turn(
  engine: Engine,
  claim: Claim,
  first: Ahead,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  const { plan, keys, stands, clear, apply, look, hold } = claim;
  for (let ahead = first; ;) {
    const { inTheWay, revision } = ahead;
    let when: readonly Check[] | null = unchanged(plan, revision);
    if (inTheWay !== null) {
      claim.refuse(inTheWay);
      await vanished(engine, [inTheWay.key, keys.place], revision, signal);
      when = clear;
    }
    signal?.throwIfAborted();
    const outcome = await engine.commit(
      when === null ? { apply: look } : { when: stands.concat(when), apply, otherwise: look },
    );
    if (when !== null && outcome.succeeded) return { token: outcome.revision, hold };
    const next = judge(claim, outcome.results, outcome.revision);
    if ('token' in next) return next;
    ahead = next;
  }
}

async function lookAndTurn(
  engine: Engine,
  claim: Claim,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  const { revision, results } = await engine.commit({ apply: claim.look });
  const ahead = judge(claim, results, revision);
  return 'token' in ahead ? ahead : await turn(engine, claim, ahead, signal);
}

/** @returns the grant when there is one already. @throws {WaymarkError} `lost` when the place is gone */
function judge(
  { plan, hold, own }: Claim,
  results: readonly OperationResult[],
  revision: number,
): Ahead | Grant {
  const { place, mark } = standing(results);
  if (mark !== null) return { token: mark.createRevision, hold };
  if (place === null) throw lostPlace(hold.path);
  return aheadOf(plan, results.slice(2), revision, own);
}

function unchanged(plan: LockPlan, revision: number): Check[] {
  return plan.marks.map((range) => ({ ...range, target: 'mod', is: '<', to: revision + 1 }));
}

/** Resolves once one of the keys is deleted after `after`. */
async function vanished(
  engine: Engine,
  keys: readonly ByteString[],
  after: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ranges = keys.map((key) => ({ key }));
  try {
    for await (const batch of engine.watch(ranges, { after, signal })) {
      if (batch.changes.some((change) => change.kind !== 'put')) return;
    }
  } catch (error) {
    // The next look reads the present: that history is gone does not matter.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
}

function giveUp(ground: LockGround, hold: HeldKeys): () => Promise<unknown> {
  return () => release(ground, hold).catch(() => undefined);
}

function refuseOwn(request: AcquireRequest, inTheWay: Entry): void {
  const { session, owner } = decodeParty(inTheWay.value);
  if (session !== request.session) return;
  throw new WaymarkError(
    'conflict',
    `this session itself holds or waits for what conflicts with a lock on ${request.path}: release it first, or upgrade`,
    { path: request.path, holder: owner },
  );
}

function grantOperations(keys: RequestKeys, { value, lease }: Leased): Operation[] {
  return [
    { type: 'put', key: keys.place, value, lease },
    { type: 'put', key: keys.mark, value, lease },
  ];
}

function removal(keys: RequestKeys): Operation[] {
  return [
    { type: 'delete', key: keys.place },
    { type: 'delete', key: keys.mark },
  ];
}

/** A lease that is gone means to a lock that its session ended. */
function asLost(error: unknown): unknown {
  if (!isWaymarkError(error, 'not_found')) return error;
  return new WaymarkError('lost', 'the lease of this lock has ended', error.facts, error);
}

function lostPlace(path: string): WaymarkError {
  const why = 'its lease ended, or it was taken out of the queue';
  return new WaymarkError('lost', `the place in the queue for ${path} is gone: ${why}`, { path });
}

export function lostHold(path: string): WaymarkError {
  return new WaymarkError('lost', `the lock on ${path} is no longer held: take it anew`, { path });
}
