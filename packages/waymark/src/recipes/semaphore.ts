import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import type { SemaphoreExplanation } from '../space/semaphore-types.js';
import { unlessAskedAgain } from './asked-again.js';
import { checkHold, checkRequest } from './lock-request.js';
import { enter, type PermitRequest, view } from './semaphore-enter.js';
import { explainSemaphore } from './semaphore-explain.js';
import { aheadIn, encodeLimit, type PermitKeys, permitKeys } from './semaphore-queue.js';
import { checkLimit, checkWish, noSemaphore, refusal } from './semaphore-request.js';
import { holds, turn } from './semaphore-turn.js';
import { waiting } from './waiting.js';

/**
 * Semaphores (rules P1 to P12 in docs/spec/recipes.md). A request puts one leased *place*, whose createRevision is its token, and reads in the
 * same commit who stands before it: so what fits is granted in one commit, and everyone else has its position by then. Who holds
 * follows from the queue and the stored limit alone (semaphore-queue.ts). The alternative, a counter of what is free, needs somebody who gives back
 * what the dead held; here their places vanish with their leases, and the sum is right by itself.
 */

/** @returns whether it held or waited */
export const release = recipeCall({
  name: 'semaphore.release',
  verb: 0x69,
  whenBroken: 'retry',
  args: shape.record({ id: shape.text, path: shape.text }),
  result: shape.flag,
  async run({ engine }, { id, path }) {
    checkHold({ id, path, tree: false, mode: 'exclusive' });
    const key = permitKeys(path, id).place;
    const { results } = await engine.commit({ apply: [{ type: 'delete', key }] });
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
  },
});

/** @returns the token; null with `waitMs: 0` when it does not fit now */
export const acquire = recipeCall({
  name: 'semaphore.acquire',
  verb: 0x68,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({
    id: shape.text,
    path: shape.text,
    weight: shape.whole,
    limit: shape.optional(shape.whole),
    lease: shape.leaseId,
    owner: shape.text,
    session: shape.text,
    waitMs: shape.optional(shape.number),
  }),
  result: shape.nullable(shape.whole),
  undo: ({ id, path }) => ({ call: release, args: { id, path } }),
  async run(ground, request, options) {
    checkRequest({ ...request, tree: false, mode: 'exclusive' });
    checkWish(request);
    const keys = permitKeys(request.path, request.id);
    if (request.waitMs === 0) return await acquireNow(ground, keys, request);
    return await acquireInTurn(ground, keys, request, options);
  },
});

/** @returns the revision at which the limit stood */
export const resize = recipeCall({
  name: 'semaphore.resize',
  verb: 0x6a,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text, limit: shape.whole }),
  result: shape.whole,
  async run({ engine }, { path, limit }) {
    checkLimit(limit);
    const keys = permitKeys(path, '');
    for (;;) {
      const { stored, queue, revision } = await view(engine, keys);
      if (stored === null) throw noSemaphore(path);
      if (stored.limit === limit) return stored.revision;
      const last = queue[aheadIn(queue, stored).held.size - 1];
      const heldThrough = Math.max(stored.heldThrough, last?.createRevision ?? 0);
      const outcome = await engine.commit({
        // Nobody has entered since, and nobody was told that its turn has come.
        when: [
          { key: keys.limit, target: 'mod', is: '=', to: stored.revision },
          { ...keys.range, target: 'mod', is: '<', to: revision + 1 },
        ],
        apply: [{ type: 'put', key: keys.limit, value: encodeLimit({ limit, heldThrough }) }],
      });
      if (outcome.succeeded) return outcome.revision;
    }
  },
});

/** @returns null where there is no semaphore */
export const explain = recipeCall({
  name: 'semaphore.explain',
  verb: 0x6b,
  whenBroken: 'retry',
  args: shape.record({
    path: shape.text,
    weight: shape.whole,
    /** Of each kind, at most. */
    parties: shape.whole,
  }),
  result: shape.json<SemaphoreExplanation | null>(),
  async run({ engine }, { path, weight, parties }) {
    checkWish({ path, weight });
    const { stored, queue, revision } = await view(engine, permitKeys(path, ''));
    if (stored === null) return null;
    return await explainSemaphore(engine, { path, weight, parties, stored, queue, revision });
  },
});

/** @returns false when there was no limit */
export const remove = recipeCall({
  name: 'semaphore.remove',
  verb: 0x6c,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text }),
  result: shape.flag,
  async run({ engine }, { path }) {
    const { range, limit } = permitKeys(path, '');
    const { succeeded, results } = await engine.commit({
      when: [{ ...range, target: 'version', is: '=', to: 0 }],
      apply: [{ type: 'delete', key: limit }],
    });
    if (succeeded) return results.some((one) => one.type === 'delete' && one.deleted > 0);
    const message = `somebody holds or waits for permits of ${path}: explain says who`;
    throw new WaymarkError('conflict', message, { path });
  },
});

export const semaphoreCalls = [acquire, release, resize, explain, remove] as const;

/** Looks first: what does not fit writes nothing. */
async function acquireNow(
  ground: RecipeGround,
  keys: PermitKeys,
  request: PermitRequest,
): Promise<number | null> {
  const { engine } = ground;
  const { stored, queue } = await view(engine, keys);
  const refused = refusal(request, stored?.limit ?? null);
  if (refused !== null) throw refused;
  const repeated = queue.some(({ key }) => key === keys.place);
  if (stored !== null && !repeated) {
    const { before, used } = aheadIn(queue, stored);
    if (before !== null || used + request.weight > stored.limit) return null;
  }
  const { claim, standing } = await enter(ground, keys, request);
  if (standing.waited || holds(claim, standing)) return claim.created;
  // Another was faster since the look.
  await release.run(ground, request);
  return null;
}

async function acquireInTurn(
  ground: RecipeGround,
  keys: PermitKeys,
  request: PermitRequest,
  options: CallOptions | undefined,
): Promise<number> {
  const signal = options?.signal;
  const { claim, standing } = await enter(ground, keys, request, signal);
  if (standing.waited || holds(claim, standing)) return claim.created;
  const bounds = { path: request.path, waitMs: request.waitMs, signal };
  const leave = unlessAskedAgain(keys.place, claim.asked);
  const giveUp = async (): Promise<boolean> => (await ground.engine.commit(leave)).succeeded;
  return await waiting(ground.clock, bounds, giveUp, (ended) =>
    turn(ground.engine, claim, standing, ended),
  );
}
