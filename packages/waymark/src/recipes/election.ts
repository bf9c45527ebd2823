import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import type { ByteString } from '../core/engine.js';
import type { Explanation } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import * as shape from '../core/shape.js';
import { acquire } from './lock.js';
import { explain as explainLock } from './lock-explain.js';
import { electionFacet, groupLeaderFacet, scheduleFacet } from '../space/layout.js';
import { LockPlans } from './lock-plan.js';
import { decodeParty, encodeParty } from './lock-queue.js';
import { checkHold } from './lock-request.js';
import { type LockGround, release } from './lock-writes.js';
import { electionWords, scheduleWords, type Wording } from './wording.js';

/**
 * Elections (rules E1 to E7 in docs/spec/recipes.md): an exclusive lock in a facet of its own, so that a path may be locked, and led, by
 * different processes. The term is the lock's token; what a leader proclaims is written beside its name in its mark. The members of a
 * group and the processes of a schedule elect in the same way, in facets of their own.
 */

const candidate = {
  id: shape.text,
  path: shape.text,
  lease: shape.leaseId,
  owner: shape.text,
  session: shape.text,
  says: shape.optional(shape.bytes),
};

const proclamation = shape.record({
  id: shape.text,
  path: shape.text,
  term: shape.whole,
  says: shape.bytes,
});

const exclusive = { tree: false, mode: 'exclusive' } as const;

/** One kind of election: where its marks stand, and its calls. */
export type ElectionKind = ReturnType<typeof electionIn>;

/** @param kind.verb  the first of four */
export function electionIn(kind: {
  readonly name: string;
  readonly facet: ByteString;
  readonly verb: number;
  /** Default: those of an election. */
  readonly words?: Wording;
}) {
  const { name, facet, verb, words = electionWords } = kind;
  const locksKey = Symbol(name);
  const locks = (ground: RecipeGround): LockGround => {
    const { engine: namespace, beneath, clock } = ground;
    return ground.remember(locksKey, () => ({
      engine: beneath.engine,
      clock,
      plans: new LockPlans(beneath.prefix + facet),
      words,
      namespace,
    }));
  };

  /** @returns the term; null with `waitMs: 0` when it is not to be had now */
  const campaign = recipeCall({
    name: `${name}.campaign`,
    verb,
    whenBroken: 'retry',
    waits: true,
    args: shape.record({ ...candidate, waitMs: shape.optional(shape.number) }),
    result: shape.nullable(shape.whole),
    undo: ({ id, path }) => ({ call: resign, args: { id, path } }),
    run: (ground, args, options) => acquire(locks(ground), { ...args, ...exclusive }, options),
  });

  /** @returns whether it led or stood */
  const resign = recipeCall({
    name: `${name}.resign`,
    verb: verb + 1,
    whenBroken: 'retry',
    args: shape.record({ id: shape.text, path: shape.text }),
    result: shape.flag,
    run: (ground, { id, path }) => release(locks(ground), { id, path, ...exclusive }),
  });

  /** @returns the revision at which it was told */
  const proclaim = recipeCall({
    name: `${name}.proclaim`,
    verb: verb + 2,
    whenBroken: 'retry',
    args: proclamation,
    result: shape.whole,
    run: (ground, args) => proclaimUnder(locks(ground), args),
  });

  const explain = recipeCall({
    name: `${name}.explain`,
    verb: verb + 3,
    whenBroken: 'retry',
    args: shape.record({ path: shape.text }),
    result: shape.json<Explanation>(),
    run: (ground, { path }) => explainLock(locks(ground), { path, ...exclusive }),
  });

  return { facet, campaign, resign, proclaim, explain };
}

/** What stands beside it in the mark, who leads, is not the caller's to say. */
async function proclaimUnder(
  { engine, plans }: LockGround,
  { id, path, term, says }: shape.TypeOf<typeof proclamation>,
): Promise<number> {
  checkHold({ id, path, ...exclusive });
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
}

export function lostTerm(path: string): WaymarkError {
  return new WaymarkError('lost', `the term of ${path} is over: campaign anew`, { path });
}

export const election = electionIn({ name: 'election', facet: electionFacet, verb: 0x60 });
/** Who leads the members of a group: rule M7. */
export const groupElection = electionIn({ name: 'group', facet: groupLeaderFacet, verb: 0x98 });
/** Who runs a schedule: rule O5. */
export const scheduleElection = electionIn({
  name: 'schedule',
  facet: scheduleFacet,
  verb: 0x9c,
  words: scheduleWords,
});

export const { campaign, resign, proclaim, explain } = election;
export const electionCalls = [election, groupElection, scheduleElection].flatMap((kind) => [
  kind.campaign,
  kind.resign,
  kind.proclaim,
  kind.explain,
]);
