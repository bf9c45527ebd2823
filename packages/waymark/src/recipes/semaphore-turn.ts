import type { Change, Engine } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { entriesOf } from './lock-queue.js';
import {
  type Ahead,
  aheadIn,
  decodeLimit,
  decodePlace,
  encodePlace,
  type PermitKeys,
  type PlaceFacts,
  queueRead,
  type StoredLimit,
} from './semaphore-queue.js';
import { noSemaphore, tooHeavy } from './semaphore-request.js';

/** A place in the queue. */
export interface Claim {
  readonly path: string;
  readonly keys: PermitKeys;
  readonly facts: PlaceFacts;
  /** Its createRevision: the token. */
  readonly created: number;
  /** When it was asked for last: see asked-again.ts. */
  readonly asked: number;
}

/** Where a place stands, at one revision. */
export interface Standing {
  readonly revision: number;
  readonly stored: StoredLimit;
  readonly ahead: Ahead;
  /** It was told already that it holds. */
  readonly waited: boolean;
}

export function holds({ created, facts }: Claim, { stored, ahead }: Standing): boolean {
  const fits = ahead.before === null && ahead.used + facts.weight <= stored.limit;
  return fits || created <= stored.heldThrough;
}

/**
 * Waits until the place holds. The first in line watches who holds and adds up by itself what they give back; everyone behind watches the
 * place before it alone. Who is granted writes its place anew, which wakes the next: a release wakes those who fit and no more.
 *
 * @throws {WaymarkError} `lost` when the place is gone; `invalid` when a resize made its weight more than the limit
 */
export async function turn(
  engine: Engine,
  claim: Claim,
  first: Standing | null,
  signal: AbortSignal | undefined,
): Promise<number> {
  for (let standing = first; ;) {
    standing ??= await look(engine, claim);
    if (standing.waited) return claim.created;
    if (holds(claim, standing)) {
      if (await confirm(engine, claim, standing.stored)) return claim.created;
      standing = null;
    } else {
      refuseTooHeavy(claim, standing);
      standing = await moved(engine, claim, standing, signal);
    }
    signal?.throwIfAborted();
  }
}

/** @throws {WaymarkError} `lost` when the place is gone */
export async function look(engine: Engine, { path, keys, created }: Claim): Promise<Standing> {
  const { revision, results } = await engine.commit({
    apply: [
      { type: 'read', key: keys.limit },
      { type: 'read', key: keys.place },
      queueRead(keys, created),
    ],
  });
  const [stored, own, queue] = results.map(entriesOf);
  const place = own?.[0];
  if (place?.createRevision !== created) throw lostPlace(path);
  const limit = decodeLimit(stored?.[0]);
  if (limit === null) throw noSemaphore(path);
  const { waited } = decodePlace(place.value);
  return { revision, stored: limit, ahead: aheadIn(queue ?? [], limit), waited };
}

/** The grant, guarded by its own place and by the limit that was looked at. @returns false: look again */
async function confirm(
  engine: Engine,
  { keys, facts, created }: Claim,
  stored: StoredLimit,
): Promise<boolean> {
  const value = encodePlace({ ...facts, waited: true });
  const { succeeded } = await engine.commit({
    when: [
      { key: keys.place, target: 'create', is: '=', to: created },
      { key: keys.limit, target: 'mod', is: '=', to: stored.revision },
    ],
    apply: [{ type: 'put', key: keys.place, value, keepLease: true }],
  });
  return succeeded;
}

/** At the head of the queue it would hold up everyone behind it. */
function refuseTooHeavy({ path, facts }: Claim, { stored, ahead }: Standing): void {
  if (ahead.before === null && facts.weight > stored.limit) {
    throw tooHeavy(path, facts.weight, stored.limit);
  }
}

/** @returns where it stands once something has moved; null: look */
async function moved(
  engine: Engine,
  claim: Claim,
  standing: Standing,
  signal: AbortSignal | undefined,
): Promise<Standing | null> {
  const { keys } = claim;
  const { ahead, revision } = standing;
  const ranges =
    ahead.before === null
      ? [keys.range, { key: keys.limit }]
      : [{ key: ahead.before }, { key: keys.place }];
  let now = standing;
  try {
    for await (const batch of engine.watch(ranges, { after: revision, signal })) {
      if (batch.changes.some((change) => mustLook(claim, ahead, change))) return null;
      if (ahead.before !== null) continue;
      now = { ...now, revision: batch.revision, ahead: without(now.ahead, batch.changes) };
      if (holds(claim, now)) return now;
    }
  } catch (error) {
    // A look reads the present: that history is gone does not matter.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
  return null;
}

function mustLook({ keys }: Claim, { before }: Ahead, { kind, entry }: Change): boolean {
  if (entry.key === keys.place) return kind !== 'put';
  return entry.key === before || entry.key === keys.limit;
}

function without(ahead: Ahead, changes: readonly Change[]): Ahead {
  let { used } = ahead;
  for (const { kind, entry } of changes) {
    const weight = kind === 'put' ? undefined : ahead.held.get(entry.key);
    if (weight === undefined) continue;
    ahead.held.delete(entry.key);
    used -= weight;
  }
  return { ...ahead, used };
}

function lostPlace(path: string): WaymarkError {
  const why = 'its lease ended, or it was taken out of the queue';
  return new WaymarkError('lost', `the place in the queue for ${path} is gone: ${why}`, { path });
}
