import type { Engine } from '../core/engine.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { checkCanonical } from '../space/paths.js';
import { BarrierKeys, type BarrierView, viewOf } from './barrier-keys.js';
import { checkParties, checkPlace, checkWaitMs, checkWord } from './checks.js';
import { come, type Passed, withdraw } from './barrier-turn.js';
import { asLost } from './wording.js';
import { waitForChange, waiting } from './waiting.js';

/**
 * Barriers (rules B1 to B8 in docs/spec/recipes.md). Who comes puts a leased place; the one that finds enough of them commits the next generation, guarded
 * by each of those places, so that a party whose lease ended, or that gave up, is never counted. Until then everybody watches the
 * state and its own place alone: who comes wakes nobody, and the last one wakes all. Of a double barrier the places stay until their
 * owners leave, and the next generation waits until the last has left.
 */

const kind = shape.choice('barrier', 'double');
const place = { id: shape.text, path: shape.text, kind };

/** Takes the place away. @returns whether there was one */
export const stepBack = recipeCall({
  name: 'barrier.step-back',
  verb: 0x80,
  whenBroken: 'retry',
  args: shape.record(place),
  result: shape.flag,
  async run({ engine }, { id, path, kind: of }) {
    checkCanonical(path);
    checkWord('id of a party', id);
    const key = new BarrierKeys(path, of).place(id);
    const { results } = await engine.commit({ apply: [{ type: 'delete', key }] });
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
  },
});

/** @returns the generation that it passed with; for a double barrier also the revision its place was created at */
export const arrive = recipeCall({
  name: 'barrier.arrive',
  verb: 0x81,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({
    ...place,
    parties: shape.whole,
    lease: shape.leaseId,
    owner: shape.text,
    session: shape.text,
    waitMs: shape.optional(shape.number),
  }),
  result: shape.record({ generation: shape.whole, created: shape.whole }),
  undo: ({ id, path, kind: of }) => ({ call: stepBack, args: { id, path, kind: of } }),
  async run({ engine, clock }, { waitMs, ...coming }, options) {
    checkCanonical(coming.path);
    checkPlace(coming);
    checkParties(coming.parties);
    checkWaitMs(waitMs);
    const keys = new BarrierKeys(coming.path, coming.kind);
    // Whoever is told that it came too late, or stopped waiting, was not counted.
    const gaveUp: { counted: Passed | null } = { counted: null };
    const giveUp = async (): Promise<boolean> => {
      gaveUp.counted = await withdraw(engine, keys, coming);
      return true;
    };
    const bounds = { path: coming.path, waitMs, signal: options?.signal };
    try {
      return await waiting(clock, bounds, giveUp, (signal) => come(engine, keys, coming, signal));
    } catch (error) {
      if (gaveUp.counted !== null) return gaveUp.counted;
      throw asLost(error, 'place');
    }
  },
});

/** Leaves a double barrier. Resolves when all of its generation have left, or their leases have ended. */
export const leave = recipeCall({
  name: 'barrier.leave',
  verb: 0x82,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({
    id: shape.text,
    path: shape.text,
    generation: shape.whole,
    waitMs: shape.optional(shape.number),
  }),
  result: shape.flag,
  async run({ engine, clock }: RecipeGround, { id, path, generation, waitMs }, options) {
    checkCanonical(path);
    checkWord('id of a party', id);
    checkWaitMs(waitMs);
    const keys = new BarrierKeys(path, 'double');
    const { results } = await engine.commit({ apply: [{ type: 'delete', key: keys.place(id) }] });
    const bounds = { path, waitMs, signal: options?.signal };
    await waiting(
      clock,
      bounds,
      async () => true,
      (signal) => allLeft(engine, keys, generation, signal),
    );
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
  },
});

export const barrierCalls = [stepBack, arrive, leave] as const;

/** Waits on the youngest that is inside, and looks anew when it is gone. */
async function allLeft(
  engine: Engine,
  keys: BarrierKeys,
  generation: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    const view: BarrierView = viewOf(keys, await engine.read(keys.all));
    const youngest = view.inside.at(-1);
    if (youngest === undefined || view.state?.generation !== generation) return;
    const range = { key: youngest.key };
    await waitForChange(engine, [range], { after: view.revision, signal }, ({ changes }) =>
      changes.length > 0 ? true : null,
    );
  }
}
