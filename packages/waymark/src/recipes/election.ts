import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import type { Explanation } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import * as shape from '../core/shape.js';
import { acquire } from './lock.js';
import { explain as explainLock } from './lock-explain.js';
import { electionFacet } from '../space/layout.js';
import { LockPlans } from './lock-plan.js';
import { decodeParty, encodeParty } from './lock-queue.js';
import { checkHold } from './lock-request.js';
import { type LockGround, release } from './lock-writes.js';

/**
 * Elections (rules E1 to E7 in docs/spec/recipes.md): an exclusive lock in a facet of its own, so that a path may be locked, and led, by
 * different processes. The term is the lock's token; what a leader proclaims is written beside its name in its mark.
 */

const locksKey = Symbol('election');

function electionLocks(ground: RecipeGround): LockGround {
  const { engine, clock } = ground;
  return ground.remember(locksKey, () => ({ engine, clock, plans: new LockPlans(electionFacet) }));
}

const candidate = {
  id: shape.text,
  path: shape.text,
  lease: shape.whole,
  owner: shape.text,
  session: shape.text,
  says: shape.optional(shape.bytes),
};

const exclusive = { tree: false, mode: 'exclusive' } as const;

/** @returns whether it led or stood */
export const resign = recipeCall({
  name: 'election.resign',
  verb: 0x61,
  whenBroken: 'retry',
  args: shape.record({ id: shape.text, path: shape.text }),
  result: shape.flag,
  run: (ground, { id, path }) => release(electionLocks(ground), { id, path, ...exclusive }),
});

/** @returns the term; null with `waitMs: 0` when it is not to be had now */
export const campaign = recipeCall({
  name: 'election.campaign',
  verb: 0x60,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({ ...candidate, waitMs: shape.optional(shape.number) }),
  result: shape.nullable(shape.whole),
  undo: ({ id, path }) => ({ call: resign, args: { id, path } }),
  run: (ground, args, options) =>
    acquire(electionLocks(ground), { ...args, ...exclusive }, options),
});

/** What stands beside it in the mark, who leads, is not the caller's to say. @returns the revision at which it was told */
export const proclaim = recipeCall({
  name: 'election.proclaim',
  verb: 0x62,
  whenBroken: 'retry',
  args: shape.record({ id: shape.text, path: shape.text, term: shape.whole, says: shape.bytes }),
  result: shape.whole,
  async run(ground, { id, path, term, says }) {
    checkHold({ id, path, ...exclusive });
    const { engine, plans } = electionLocks(ground);
    const { mark } = plans.of({ path, ...exclusive }).keysOf(id);
    const [entry] = (await engine.read({ key: mark })).entries;
    if (entry?.createRevision !== term) throw lostTerm(path);
    const value = encodeParty({ ...decodeParty(entry.value), says });
    const { succeeded, revision } = await engine.commit({
      when: [{ key: mark, target: 'create', is: '=', to: term }],
      apply: [{ type: 'put', key: mark, value, keepLease: true }],
    });
    if (!succeeded) throw lostTerm(path);
    return revision;
  },
});

export const explain = recipeCall({
  name: 'election.explain',
  verb: 0x63,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text }),
  result: shape.json<Explanation>(),
  run: (ground, { path }) => explainLock(electionLocks(ground), { path, ...exclusive }),
});

export const electionCalls = [campaign, resign, proclaim, explain] as const;

export function lostTerm(path: string): WaymarkError {
  return new WaymarkError('lost', `the term of ${path} is over: campaign anew`, { path });
}
