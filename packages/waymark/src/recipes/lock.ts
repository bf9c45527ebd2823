import type { Clock } from '../core/clock.js';
import type { ByteString, Check, Engine, Operation, Outcome } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import type { AcquireRequest, ConvertRequest, Grant, HeldKeys } from '../core/host.js';
import { markKey, placeKey } from '../space/layout.js';
import {
  type Ahead,
  asRead,
  conflictingPlaces,
  decodeParty,
  encodeParty,
  entriesOf,
  markRanges,
  readAhead,
  type Wanted,
} from './lock-queue.js';

/**
 * The lock (rules L1 to L13 in docs/spec/recipes.md), written over one namespace's engine. A request puts a leased *place*; it is
 * granted when no conflicting place is older and no conflicting mark stands; the grant writes a *held mark*, whose createRevision is
 * the fencing token. The free path is one commit. A waiter watches the youngest conflicting older place and its own alone, as
 * etcd's client/v3/concurrency does, so a release wakes no herd; unlike there, each grant is a commit guarded by the waiter's own place,
 * so a waiter whose lease died can never be granted.
 */
export async function acquire(
  engine: Engine,
  clock: Clock,
  request: AcquireRequest,
  signal: AbortSignal | undefined,
): Promise<Grant | null> {
  signal?.throwIfAborted();
  const hold: HeldKeys = {
    path: request.path,
    tree: request.tree,
    mode: request.mode,
    id: request.id,
  };
  const waiting = request.waitMs !== 0;
  const outcome = await leased(enter(engine, request, hold, waiting));
  if (outcome.succeeded) return { token: outcome.revision, hold };
  const [markRead, placeRead] = outcome.results;
  const held = markRead === undefined ? undefined : entriesOf(markRead)[0];
  if (held !== undefined) return { token: held.createRevision, hold };
  if (!waiting) return null;
  // A repeated request finds the place it put before, in its old position.
  const created = (placeRead && entriesOf(placeRead)[0]?.createRevision) ?? outcome.revision;
  return await queue(engine, clock, request, hold, created, signal);
}

/** @returns false when nothing was held or waited for */
export async function release(engine: Engine, hold: HeldKeys): Promise<boolean> {
  const { results } = await engine.commit({ apply: removal(hold) });
  return results.some((result) => result.type === 'delete' && result.deleted > 0);
}

/** Changes the mode of a hold, never letting another in between. @throws {WaymarkError} `lost`, `conflict`, `timeout` */
export async function convert(
  engine: Engine,
  clock: Clock,
  hold: HeldKeys,
  to: ConvertRequest,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  signal?.throwIfAborted();
  const next: HeldKeys = { ...hold, mode: to.mode };
  const mark = (await engine.read({ key: markKey(hold) })).entries[0];
  if (mark === undefined) throw lostHold(hold.path);
  if (to.mode === hold.mode) return { token: mark.createRevision, hold };
  const party = { value: mark.value, lease: mark.lease };
  const stands: Check = { key: mark.key, target: 'create', is: '=', to: mark.createRevision };
  if (to.mode === 'exclusive')
    return await upgrade(engine, clock, { hold, next, stands, party, to, signal });
  const put = grantOperations(next, party);
  const outcome = await engine.commit({ when: [stands], apply: [...removal(hold), ...put] });
  if (!outcome.succeeded) throw lostHold(hold.path);
  return { token: outcome.revision, hold: next };
}

interface Leased {
  readonly value: ByteString;
  readonly lease: number;
}

/** Takes the lock if it is free; else, when `waiting`, a place. One commit. */
function enter(
  engine: Engine,
  request: AcquireRequest,
  hold: HeldKeys,
  waiting: boolean,
): Promise<Outcome> {
  const leasedBy: Leased = { value: encodeParty(request), lease: request.lease };
  const place: Operation = {
    type: 'put',
    key: placeKey(hold),
    value: leasedBy.value,
    lease: leasedBy.lease,
  };
  const found = [asRead({ key: markKey(hold) })];
  return engine.commit({
    when: conflictingPlaces(hold).map(({ key, end }) => ({
      key,
      end,
      target: 'version',
      is: '=',
      to: 0,
    })),
    apply: grantOperations(hold, leasedBy),
    otherwise: waiting ? [...found, { ...asRead({ key: placeKey(hold) }) }, place] : found,
  });
}

async function queue(
  engine: Engine,
  clock: Clock,
  request: AcquireRequest,
  hold: HeldKeys,
  created: number,
  signal: AbortSignal | undefined,
): Promise<Grant> {
  const leasedBy = { value: encodeParty(request), lease: request.lease };
  const keys = { place: placeKey(hold), mark: markKey(hold), created };
  return await bounded(engine, clock, { hold, waitMs: request.waitMs, signal }, (ended) =>
    turn(engine, hold, keys, false, ended, {
      check: (ahead) => refuseOwn(request, ahead),
      when: [{ key: keys.place, target: 'create', is: '=', to: created }],
      apply: [{ type: 'put', key: keys.mark, ...leasedBy }],
    }),
  );
}

interface Upgrade {
  readonly hold: HeldKeys;
  readonly next: HeldKeys;
  readonly stands: Check;
  readonly party: Leased;
  readonly to: ConvertRequest;
  readonly signal: AbortSignal | undefined;
}

/**
 * The upgrade's exclusive place keeps new shared holders out; the shared hold stays until the others are gone. Two upgrades of
 * conflicting holds would wait for each other for ever: the second is refused.
 */
async function upgrade(engine: Engine, clock: Clock, from: Upgrade): Promise<Grant> {
  const { hold, next, stands, party } = from;
  const place = placeKey(next);
  const put: Operation = { type: 'put', key: place, value: `^${party.value}`, lease: party.lease };
  const entered = await engine.commit({ when: [stands], apply: [put] });
  if (!entered.succeeded) throw lostHold(hold.path);
  await refuseSecondUpgrade(engine, next, entered.revision);
  const keys = { place, mark: markKey(next), created: entered.revision, own: markKey(hold) };
  const bounds = { hold: next, waitMs: from.to.waitMs, signal: from.signal };
  return await bounded(engine, clock, bounds, (ended) =>
    turn(engine, next, keys, true, ended, {
      check: () => undefined,
      when: [stands],
      apply: [...removal(hold), ...grantOperations(next, party)],
    }),
  );
}

async function refuseSecondUpgrade(engine: Engine, next: HeldKeys, entered: number): Promise<void> {
  const reads = conflictingPlaces({ ...next, mode: 'shared' }).map(asRead);
  const { results } = await engine.commit({ apply: reads });
  const older = results.flatMap(entriesOf).filter((entry) => entry.createRevision < entered);
  if (!older.some((entry) => entry.value.startsWith('^'))) return;
  await release(engine, next);
  throw new WaymarkError('conflict', 'another upgrade waits here already: release, and lock anew');
}

interface Turn {
  readonly check: (ahead: Ahead) => void;
  readonly when: readonly Check[];
  readonly apply: readonly Operation[];
}

/**
 * Waits until nothing is in the way, and commits the grant. Conflicting older places can only vanish, never appear; marks can appear by
 * conversion, so the grant insists that none of those looked at is newer than the look.
 */
async function turn(
  engine: Engine,
  wanted: HeldKeys & Wanted,
  keys: Parameters<typeof readAhead>[2],
  upgrading: boolean,
  ended: AbortSignal,
  grant: Turn,
): Promise<Grant> {
  for (;;) {
    ended.throwIfAborted();
    const ahead = await readAhead(engine, wanted, keys, upgrading);
    if (ahead.mark !== null) return { token: ahead.mark.createRevision, hold: wanted };
    if (ahead.place === null) throw lostPlace(wanted.path);
    grant.check(ahead);
    if (ahead.inTheWay !== null) {
      await vanished(engine, [ahead.inTheWay.key, keys.place], ahead.revision, ended);
      continue;
    }
    const unchanged = markRanges(wanted).map((range): Check => ({
      ...range,
      target: 'mod',
      is: '<',
      to: ahead.revision + 1,
    }));
    ended.throwIfAborted();
    const outcome = await leased(
      engine.commit({ when: [...grant.when, ...unchanged], apply: grant.apply }),
    );
    if (outcome.succeeded) return { token: outcome.revision, hold: wanted };
  }
}

/** Resolves once one of the keys is deleted after `after`. */
async function vanished(
  engine: Engine,
  keys: readonly ByteString[],
  after: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const batch of engine.watch(
      keys.map((key) => ({ key })),
      { after, signal },
    )) {
      if (batch.changes.some((change) => change.kind !== 'put')) return;
    }
  } catch (error) {
    // The next look reads the present: that history is gone does not matter.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
}

/** Runs `wait` until the caller's signal or the time to wait ends it; the place is gone before this rejects. */
async function bounded(
  engine: Engine,
  clock: Clock,
  bounds: {
    readonly hold: HeldKeys;
    readonly waitMs: number | undefined;
    readonly signal: AbortSignal | undefined;
  },
  wait: (ended: AbortSignal) => Promise<Grant>,
): Promise<Grant> {
  const { hold, waitMs, signal } = bounds;
  const ended = new AbortController();
  const abort = (): void => ended.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const late = new WaymarkError('timeout', `${hold.path} was not free within ${waitMs} ms`, {
    path: hold.path,
  });
  const disarm = waitMs === undefined ? undefined : clock.after(waitMs, () => ended.abort(late));
  try {
    if (signal?.aborted === true) abort();
    return await wait(ended.signal);
  } catch (error) {
    await release(engine, hold).catch(() => undefined);
    throw error;
  } finally {
    disarm?.();
    signal?.removeEventListener('abort', abort);
  }
}

function refuseOwn(request: AcquireRequest, ahead: Ahead): void {
  if (ahead.inTheWay === null) return;
  const { session, owner } = decodeParty(ahead.inTheWay.value);
  if (session !== request.session) return;
  throw new WaymarkError(
    'conflict',
    `this session itself holds or waits for what conflicts with a lock on ${request.path}: release it first, or upgrade`,
    { path: request.path, holder: owner },
  );
}

function grantOperations(hold: HeldKeys, { value, lease }: Leased): Operation[] {
  return [
    { type: 'put', key: placeKey(hold), value, lease },
    { type: 'put', key: markKey(hold), value, lease },
  ];
}

function removal(hold: HeldKeys): Operation[] {
  return [
    { type: 'delete', key: placeKey(hold) },
    { type: 'delete', key: markKey(hold) },
  ];
}

/** A lease that is gone means to a lock that its session ended. */
async function leased(commit: Promise<Outcome>): Promise<Outcome> {
  try {
    return await commit;
  } catch (error) {
    if (!isWaymarkError(error, 'not_found')) throw error;
    throw new WaymarkError('lost', 'the lease of this lock has ended', error.facts, error);
  }
}

function lostPlace(path: string): WaymarkError {
  const why = 'its lease ended, or it was taken out of the queue';
  return new WaymarkError('lost', `the place in the queue for ${path} is gone: ${why}`, { path });
}

export function lostHold(path: string): WaymarkError {
  return new WaymarkError('lost', `the lock on ${path} is no longer held: take it anew`, { path });
}
