import type * as core from '../core/engine.js';
import { rangeContains } from '../core/ranges.js';

const fields = {
  key: 'key',
  create: 'createRevision',
  mod: 'modRevision',
  version: 'version',
  value: 'value',
  lease: 'lease',
} as const;

/** What a read of these entries answers (K7). */
export function readIn(
  entries: readonly core.Entry[],
  query: core.Query,
): Omit<core.Reading, 'revision'> {
  const inRange = entries.filter((entry) => rangeContains(query, entry.key));
  const counted = query.uncounted !== true;
  if (query.countOnly === true)
    return { entries: [], more: false, count: counted ? inRange.length : 0 };
  const passing = inRange.filter(
    (entry) =>
      entry.modRevision >= (query.minModRevision ?? 0) &&
      entry.modRevision <= (query.maxModRevision ?? Infinity) &&
      entry.createRevision >= (query.minCreateRevision ?? 0) &&
      entry.createRevision <= (query.maxCreateRevision ?? Infinity),
  );
  const field = fields[query.orderBy ?? 'key'];
  const sign = query.descending === true ? -1 : 1;
  const sorted = [...passing].sort(
    (a, b) => sign * (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0),
  );
  const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
  const shown = sorted.slice(0, limit);
  return {
    entries: query.keysOnly === true ? shown.map((entry) => ({ ...entry, value: '' })) : shown,
    more: shown.length < sorted.length,
    count: counted ? inRange.length : shown.length,
  };
}

/** Whether the check holds of these entries (K3). */
export function holdsIn(entries: readonly core.Entry[], check: core.Check): boolean {
  const field = fields[check.target];
  const actual = entries
    .filter((entry) => rangeContains(check, entry.key))
    .map((entry) => entry[field]);
  if (actual.length === 0) {
    if (check.target === 'value') return false;
    actual.push(0);
  }
  const order = (value: number | string): number | bigint | string =>
    check.target === 'lease' ? BigInt(value) : value;
  const to = order(check.to);
  const compare = {
    '=': (value: number | string) => order(value) === to,
    '!=': (value: number | string) => order(value) !== to,
    '<': (value: number | string) => order(value) < to,
    '>': (value: number | string) => order(value) > to,
  };
  return actual.every(compare[check.is]);
}
