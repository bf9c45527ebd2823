import type { Engine, Entry, LeaseId, Operation } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import type { RecipeGround } from '../core/recipe-call.js';
import { entriesOf } from './lock-queue.js';
import { askAgain } from './asked-again.js';
import { ownOf } from './lock-request.js';
import {
  aheadIn,
  decodeLimit,
  encodeLimit,
  encodePlace,
  type PermitKeys,
  queueRead,
  type StoredLimit,
} from './semaphore-queue.js';
import { type PermitWish, refusal } from './semaphore-request.js';
import { type Claim, holds, look, type Standing } from './semaphore-turn.js';

export interface PermitRequest extends PermitWish {
  readonly id: string;
  readonly lease: LeaseId;
  readonly owner: string;
  readonly session: string;
  readonly waitMs?: number | undefined;
}

/** A semaphore at one revision: its limit, and its places in the order of creation. */
export interface View {
  readonly revision: number;
  readonly stored: StoredLimit | null;
  readonly queue: readonly Entry[];
}

export async function view(engine: Engine, keys: PermitKeys): Promise<View> {
  const { revision, results } = await engine.commit({
    apply: [{ type: 'read', key: keys.limit }, queueRead(keys)],
  });
  const [stored = [], queue = []] = results.map(entriesOf);
  return { revision, stored: decodeLimit(stored[0]), queue };
}

/** Limits as they were last seen, by path: the commit that relies on one checks it. Those that came first go first. */
type KeptLimits = Map<string, StoredLimit>;
const keptLimits = Symbol('limits of semaphores');
const pathsMax = 1_000;

/**
 * Puts the place. Its commit relies on the limit as it was last seen, so what could be refused by it is refused before.
 *
 * @returns where the place stands, which an earlier try of the same request may have put
 * @throws {WaymarkError} `not_found`, `limit_mismatch`, `invalid`, `overloaded`; `conflict` for an id that another request has; `lost` when the
 *   lease has ended
 */
export async function enter(
  ground: RecipeGround,
  keys: PermitKeys,
  request: PermitRequest,
  signal?: AbortSignal,
): Promise<{ readonly claim: Claim; readonly standing: Standing }> {
  const { engine } = ground;
  const { path } = request;
  const kept = ground.remember<KeptLimits>(keptLimits, () => new Map());
  let stored = kept.get(path) ?? null;
  if (stored === null || refusal(request, stored.limit) !== null) {
    stored = decodeLimit((await engine.read({ key: keys.limit })).entries[0]);
  }
  for (;;) {
    const refused = refusal(request, stored?.limit ?? null);
    if (refused !== null) throw refused;
    // Whose client has left by now may be asked for by it elsewhere.
    signal?.throwIfAborted();
    const { succeeded, revision, results } = await commitPlace(engine, keys, request, stored);
    if (succeeded) {
      const limit = stored ?? { limit: request.limit ?? 0, heldThrough: 0, revision };
      keep(kept, path, limit);
      const [queue = []] = results.map(entriesOf);
      const claim = claimOf(keys, request, revision);
      if (queue.length >= limits.semaphorePlacesMax) throw await overloaded(engine, claim);
      const standing = { revision, stored: limit, ahead: aheadIn(queue, limit), waited: false };
      return { claim, standing };
    }
    const [limit = [], place = []] = results.map(entriesOf);
    stored = decodeLimit(limit[0]);
    const own = ownOf(place[0], request);
    if (own === null) continue;
    const claim = claimOf(keys, request, own.createRevision);
    const standing = await look(engine, claim);
    if (standing.waited || holds(claim, standing)) return { claim, standing };
    signal?.throwIfAborted();
    const asked = await askAgain(engine, own);
    if (asked !== null) return { claim: { ...claim, asked }, standing };
  }
}

async function commitPlace(
  engine: Engine,
  keys: PermitKeys,
  request: PermitRequest,
  stored: StoredLimit | null,
): ReturnType<Engine['commit']> {
  const { weight, lease } = request;
  const value = encodePlace({ ...request, weight, waited: false });
  // The queue is read before the place is put: it does not stand before itself.
  const apply: Operation[] = [queueRead(keys), { type: 'put', key: keys.place, value, lease }];
  if (stored === null) {
    const first = encodeLimit({ limit: request.limit ?? 0, heldThrough: 0 });
    apply.push({ type: 'put', key: keys.limit, value: first });
  }
  try {
    return await engine.commit({
      when: [
        { key: keys.place, target: 'version', is: '=', to: 0 },
        { key: keys.limit, target: 'mod', is: '=', to: stored?.revision ?? 0 },
      ],
      apply,
      otherwise: [
        { type: 'read', key: keys.limit },
        { type: 'read', key: keys.place },
      ],
    });
  } catch (error) {
    if (!isWaymarkError(error, 'not_found')) throw error;
    throw new WaymarkError('lost', 'the lease of this permit has ended', error.facts, error);
  }
}

function claimOf(keys: PermitKeys, request: PermitRequest, created: number): Claim {
  const { path, weight, owner, session } = request;
  return { path, keys, created, asked: created, facts: { weight, owner, session, waited: false } };
}

async function overloaded(engine: Engine, { path, keys }: Claim): Promise<WaymarkError> {
  await engine.commit({ apply: [{ type: 'delete', key: keys.place }] });
  const max = limits.semaphorePlacesMax;
  const message = `${max} requests hold or wait for permits of ${path}: no more can be queued`;
  return new WaymarkError('overloaded', message, { path, limit: 'semaphorePlacesMax', max });
}

function keep(kept: KeptLimits, path: string, stored: StoredLimit): void {
  if (kept.size >= pathsMax && !kept.has(path)) {
    for (const oldest of kept.keys()) {
      kept.delete(oldest);
      break;
    }
  }
  kept.set(path, stored);
}
