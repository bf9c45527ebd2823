import type { Engine, Operation } from '../core/engine.js';
import type { EntryFacts, LogHead, LogKeys } from './log-keys.js';

/**
 * The oldest entries that the log is to keep no longer. Ages go by the wall clock of the host, as they must mean something across restarts;
 * the entry's time stands in its key, so no value is read.
 *
 * @param due.adding  entries that are about to come
 * @param due.at  now
 * @param due.max  most to drop in one commit
 */
export async function dueForDrop(
  engine: Engine,
  keys: LogKeys,
  head: LogHead,
  due: { readonly adding: number; readonly at: number; readonly max: number },
): Promise<readonly EntryFacts[]> {
  const { next, first, entries, ageMs } = head;
  const beyond = entries === undefined ? 0 : next + due.adding - first - entries;
  if (next === first || (beyond <= 0 && ageMs === undefined)) return [];
  const range = keys.entries(first, next);
  const oldest = await engine.read({ ...range, limit: due.max, keysOnly: true, uncounted: true });
  const facts = oldest.entries.map(({ key }) => keys.facts(key));
  const kept = facts.findIndex(
    ({ at }, i) => i >= beyond && (ageMs === undefined || due.at - at <= ageMs),
  );
  return kept < 0 ? facts : facts.slice(0, kept);
}

/** Takes them away with their request ids. */
export function removalOf(
  keys: LogKeys,
  { first }: LogHead,
  drop: readonly EntryFacts[],
): Operation[] {
  if (drop.length === 0) return [];
  return [
    { type: 'delete', ...keys.entries(first, first + drop.length) },
    ...drop.map(({ id }): Operation => ({ type: 'delete', key: keys.request(id) })),
  ];
}
