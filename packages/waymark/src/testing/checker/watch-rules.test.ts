import { expect, test } from 'vitest';
import type { LoggedChange } from './commit-history.js';
import { checkWatch, type SeenChange, type WatchRecord, type WatchRule } from './watch-rules.js';

const put = (
  revision: number,
  key: string,
  version = 1,
  createRevision = revision,
): LoggedChange => ({
  revision,
  key,
  kind: 'put',
  value: `v${revision}`,
  version,
  createRevision,
});
const gone = { kind: 'delete', value: '', version: 0, createRevision: 0 } as const;

const log: readonly LoggedChange[] = [
  put(2, 'a'),
  put(3, 'a', 2, 2),
  put(3, 'b'),
  put(4, 'x'),
  { revision: 5, key: 'b', ...gone },
  put(6, 'b'),
];
const wanted = (key: string): boolean => key !== 'x';
const due: readonly SeenChange[] = log.filter(({ key }) => wanted(key));

function batch(
  revision: number,
  changes: readonly SeenChange[] = due.filter((one) => one.revision === revision),
): WatchRecord {
  return { type: 'batch', revision, changes };
}

function rulesBroken(...records: WatchRecord[]): WatchRule[] {
  const broken = checkWatch({ after: 1, records, matches: wanted }, log);
  return [...new Set(broken.map(({ rule }) => rule))];
}

function changed(change: Partial<SeenChange>): WatchRecord {
  return batch(
    3,
    due
      .filter(({ revision }) => revision === 3)
      .map((one) => (one.key === 'a' ? { ...one, ...change } : one)),
  );
}

test('[checker] a whole watch, bookmarks and a right resumption break no rule', () => {
  expect(rulesBroken(batch(2), batch(3), batch(4, []), batch(5), batch(6))).toEqual([]);
  expect(
    rulesBroken(batch(2), batch(3), { type: 'resumed', after: 3 }, batch(5), batch(6)),
  ).toEqual([]);
  expect(
    rulesBroken(
      batch(2),
      changed({ previous: { value: 'v2', revision: 2, createRevision: 2, version: 1 } }),
    ),
  ).toEqual([]);
  expect(rulesBroken(batch(6, due))).toEqual([]);
});

const breaches: readonly (readonly [WatchRule, readonly WatchRecord[]])[] = [
  ['ordered', [batch(2), batch(5), batch(3)]],
  ['unique', [batch(2), batch(3), batch(3)]],
  ['reliable', [batch(2), batch(5)]],
  ['reliable', [batch(2), changed({ value: 'other' })]],
  ['atomic', [batch(2), batch(3, due.slice(1, 2)), batch(5)]],
  ['resumable', [batch(2), { type: 'resumed', after: 3 }, batch(5)]],
  ['resumable', [batch(2), batch(3), { type: 'resumed', after: 1 }, batch(5)]],
  ['bookmarkable', [batch(2), batch(4, []), batch(3)]],
  ['bookmarkable', [batch(2, due.slice(0, 3))]],
  ['previous', [batch(2), changed({ previous: null })]],
  ['version', [batch(2), changed({ version: 1 })]],
  ['version', [batch(2), changed({ createRevision: 3 })]],
  ['filter', [batch(2), batch(3), batch(4, [put(4, 'x')])]],
];

test.each(breaches)('[checker] a breach of %s is told', (rule, records) => {
  expect(rulesBroken(...records)).toContain(rule);
});
