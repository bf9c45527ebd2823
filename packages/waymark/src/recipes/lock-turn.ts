import type { ByteString, Check, Engine, Entry, KeyRange, Operation } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import type { HeldKeys } from '../core/host.js';
import type { LockPlan, RequestKeys } from './lock-plan.js';
import { type Ahead, aheadOf, entriesOf } from './lock-queue.js';

/** A request that waits: what it looks at, and what it commits when its turn has come. */
export interface Claim {
  readonly plan: LockPlan;
  readonly keys: RequestKeys;
  readonly hold: HeldKeys;
  /** Marks that are not in its way. */
  readonly own: readonly ByteString[];
  /** What it stands on, each on one key: the grant insists on all of it, and without it the request is lost. */
  readonly stands: readonly Check[];
  /** Holds when nobody else is there but younger places: the usual case when the one waited for is gone. Null: look first. */
  readonly clear: readonly Check[] | null;
  readonly apply: readonly Operation[];
  /** Of its place: older ones are in the way. Null for an upgrade, which passes the queue over. */
  readonly created: number | null;
  readonly refuse: (inTheWay: Entry) => void;
}

/**
 * Waits until nothing is in the way, and commits the grant. Conflicting older places can only vanish, never appear; marks can appear by
 * conversion, so the grant insists that there is none, or that none of those looked at is newer than the look.
 */
export async function turn(
  engine: Engine,
  claim: Claim,
  first: Ahead | null,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { plan, stands, apply } = claim;
  for (let ahead: Ahead | number = first ?? (await look(engine, claim)); ;) {
    if (typeof ahead === 'number') return ahead;
    const { inTheWay, revision } = ahead;
    if (inTheWay !== null) {
      claim.refuse(inTheWay);
      await vanished(engine, [inTheWay, ...stands], revision, signal);
    }
    signal?.throwIfAborted();
    const when = inTheWay === null ? unchanged(plan, revision) : claim.clear;
    if (when !== null) {
      const outcome = await engine.commit({ when: stands.concat(when), apply });
      if (outcome.succeeded) return outcome.revision;
    }
    ahead = await look(engine, claim);
  }
}

/** @returns the token when it is granted already. @throws {WaymarkError} `lost` when what it stands on is gone */
async function look(
  engine: Engine,
  { plan, keys, stands, created, hold, own }: Claim,
): Promise<Ahead | number> {
  const granted: Operation = { type: 'read', key: keys.mark };
  const reads = created === null ? plan.markReads : plan.lookBefore(created);
  const { succeeded, revision, results } = await engine.commit({
    when: stands,
    apply: [granted, ...reads],
    otherwise: [granted],
  });
  const [mark] = results.slice(0, 1).flatMap(entriesOf);
  if (mark !== undefined) return mark.createRevision;
  if (!succeeded) throw lostPlace(hold.path);
  return aheadOf(plan, results.slice(1), revision, own);
}

function unchanged(plan: LockPlan, revision: number): Check[] {
  return plan.marks.map(({ key, end }) => ({ key, end, target: 'mod', is: '<', to: revision + 1 }));
}

/** Resolves once one of the keys is deleted after `after`. */
async function vanished(
  engine: Engine,
  keys: readonly KeyRange[],
  after: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ranges = keys.map(({ key }) => ({ key }));
  try {
    for await (const batch of engine.watch(ranges, { after, signal })) {
      if (batch.changes.some((change) => change.kind !== 'put')) return;
    }
  } catch (error) {
    // The next look reads the present: that history is gone does not matter.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
}

function lostPlace(path: string): WaymarkError {
  const why = 'its lease ended, or it was taken out of the queue';
  return new WaymarkError('lost', `the place in the queue for ${path} is gone: ${why}`, { path });
}
