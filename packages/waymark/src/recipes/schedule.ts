import type { Check, Entry } from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import { recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { scheduleFacet, scheduleKey } from '../space/layout.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { LockPlans } from './lock-plan.js';
import { checkHold } from './lock-request.js';
import { lostHold, scheduleWords } from './wording.js';

/**
 * Schedules (rules O5 to O9 in docs/spec/recipes.md): the processes elect one, and before it runs a due time it writes down, in a commit
 * that only the standing leader can make, that everything up to that time is settled. So whoever takes over begins after what the one
 * before began: no due time runs twice, and one that ran half is not run again.
 */

/** Up to which due time a schedule is settled, and under which term that was written. */
export interface Settled {
  readonly at: number;
  readonly term: number;
  /** The due time that was run last; absent before the first. */
  readonly ran?: number | undefined;
}

const plansKey = Symbol('schedule');
const exclusive = { tree: false, mode: 'exclusive' } as const;

/** @throws {WaymarkError} `lost` when another leads by now, `conflict` when it is settled up to a later time */
export const settleDue = recipeCall({
  name: 'schedule.settle',
  verb: 0x97,
  whenBroken: 'retry',
  args: shape.record({
    /** Of the campaign that won. */
    id: shape.text,
    path: shape.text,
    term: shape.whole,
    /** ms since 1970. */
    at: shape.whole,
    /** Whether the job is run for it. */
    run: shape.flag,
  }),
  result: shape.whole,
  async run(ground, { id, path, term, at, run }) {
    checkCanonical(path);
    const plans = ground.remember(plansKey, () => new LockPlans(scheduleFacet));
    const hold = { id, path, ...exclusive };
    checkHold(hold);
    const { mark } = plans.of(hold).keysOf(id);
    const key = scheduleKey(pathToBytes(path));
    const [before] = (await ground.engine.read({ key })).entries;
    const settled = before === undefined ? null : decodeSettled(before);
    // A repeated request finds what the first one wrote.
    if (before !== undefined && settled?.at === at && settled.term === term) {
      return before.modRevision;
    }
    if (settled !== null && settled.at >= at) {
      const why = `${path} is settled up to ${settled.at} already, later than ${at}`;
      throw new WaymarkError('conflict', why, { path });
    }
    const ran = run ? at : settled?.ran;
    const when: Check[] = [
      { key: mark, target: 'create', is: '=', to: term },
      { key, target: 'mod', is: '=', to: before?.modRevision ?? 0 },
    ];
    const value = textToBytes(JSON.stringify({ at, term, ran } satisfies Settled));
    const { succeeded, revision } = await ground.engine.commit({
      when,
      apply: [{ type: 'put', key, value }],
    });
    if (!succeeded) throw lostHold(path, scheduleWords);
    return revision;
  },
});

export const scheduleCalls = [settleDue] as const;

export function decodeSettled({ value }: Entry): Settled {
  return JSON.parse(bytesToText(value)) as Settled;
}
