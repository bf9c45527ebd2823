import type { CallOptions, Engine, PutOperation } from '../core/engine.js';
import { exactly, parseMark } from '../space/layout.js';
import { pathToBytes } from '../space/paths.js';
import { LockPlans } from './lock-plan.js';
import { removalInBoth } from './lock-writes.js';

/** So many holds, with four keys each, end in one commit, which has room for 128 operations. */
const holdsAtOnce = 30;

/**
 * Ends the holds on exactly a path that stood when it looked; who waits is served next. A shared hold that waits for its upgrade ends with that wait.
 *
 * @param engine  of the namespace
 * @param record  what to write beside what is ended, so that its holders learn why
 * @returns how many it ended
 */
export async function forceUnlock(
  engine: Engine,
  path: string,
  record: () => PutOperation,
  options: CallOptions | undefined,
): Promise<number> {
  const plans = new LockPlans('');
  const { entries } = await engine.read(exactly('h', pathToBytes(path)), options);
  let ended = 0;
  for (let from = 0; from < entries.length; from += holdsAtOnce) {
    const holds = entries.slice(from, from + holdsAtOnce).map(({ key }) => parseMark(key));
    const apply = holds.flatMap((hold) => removalInBoth(plans, hold));
    const { results } = await engine.commit({ apply: [...apply, record()] }, options);
    const gone = results.map((result) => result.type === 'delete' && result.deleted > 0);
    ended += holds.filter((_, at) => gone.slice(4 * at, 4 * at + 4).includes(true)).length;
  }
  return ended;
}
