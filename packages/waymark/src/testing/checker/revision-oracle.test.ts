import { expect, test } from 'vitest';
import type { CommitCall, CommitInput, CommitOutput, LoggedChange } from './commit-history.js';
import { checkRevisions } from './revision-oracle.js';

function call(
  times: readonly [number, number],
  input: CommitInput,
  output?: CommitOutput,
): CommitCall {
  return { client: 0, call: times[0], ret: times[1], input, output };
}
const put = (key: string, value: string): CommitInput => ({ apply: [{ op: 'put', key, value }] });
const both: CommitInput = { apply: [...put('a', '3').apply, ...put('b', '3').apply] };
const wrote = (revision: number, writes = 1): CommitOutput => ({
  succeeded: true,
  revision,
  results: Array.from({ length: writes }, () => null),
});
const get = { apply: [{ op: 'get', key: 'a' }] } as const;
const saw = (value: string, revision: number, version: number): CommitOutput['results'] => [
  { value, revision, createRevision: 1, version },
];
const logged = (
  revision: number,
  key: string,
  value: string,
  version: number,
  createRevision = 1,
): LoggedChange => ({
  revision,
  key,
  kind: 'put',
  value,
  version,
  createRevision,
});

const log = [
  logged(1, 'a', '1', 1),
  logged(2, 'a', '2', 2),
  logged(3, 'a', '3', 3),
  logged(3, 'b', '3', 1, 3),
];
const first = call([1, 2], put('a', '1'), wrote(1));
const second = call([3, 4], put('a', '2'), wrote(2));
const read = call([5, 6], get, { succeeded: true, revision: 2, results: saw('2', 2, 2) });
const third = call([7, Infinity], both);

test('[checker] a right history passes, unknown outcomes included', () => {
  expect(checkRevisions([first, second, read, third], log)).toEqual([]);
  expect(checkRevisions([first, second, read, third], log.slice(0, 2))).toEqual([]);
  const acknowledged = call([7, 8], both, wrote(3, 2));
  expect(checkRevisions([first, second, read, acknowledged], log)).toEqual([]);
});

const history = [first, second, read, third];
const stale = call([5, 6], get, { succeeded: true, revision: 1, results: saw('1', 1, 1) });
const wrong = call([5, 6], get, { succeeded: true, revision: 2, results: saw('1', 1, 1) });
const again = call([3, 4], put('a', '2'), wrote(1));
const breaches: readonly (readonly [string, readonly CommitCall[], readonly LoggedChange[]])[] = [
  ['two writers at one revision', [first, again, read, third], log],
  [
    'a revision that does not grow in time',
    [call([5, 6], put('a', '1'), wrote(1)), call([3, 4], put('a', '2'), wrote(2)), third],
    log,
  ],
  ['an answer that is not the replay', [first, second, wrong, third], log],
  ['a read older than what was acknowledged', [first, second, stale, third], log],
  ['an acknowledged write that is not in the log', history, log.slice(0, 1)],
  ['half of an unknown commit', history, log.slice(0, 3)],
  ['a change that no one asked for', history, [...log, logged(4, 'c', 'x', 1, 4)]],
  [
    'an unknown commit applied twice',
    history,
    [...log, logged(4, 'a', '3', 4), logged(4, 'b', '3', 2, 3)],
  ],
  ['a version that skips', history, log.with(1, logged(2, 'a', '2', 3))],
  [
    'a condition that did not hold',
    [first, call([3, 4], { when: [{ key: 'a', revision: 0 }], ...put('a', '2') }, wrote(2)), third],
    log,
  ],
];

test.each(breaches)('[checker] the oracle tells of %s', (_, calls, entries) => {
  expect(checkRevisions(calls, entries)).not.toEqual([]);
});

const apart = call([7, 8], put('c', 'x'), wrote(3));
const sharing = [...log, logged(3, 'c', 'x', 1, 3)];
const shared = { shared: true };

test('[checker] independent commits may share a revision where that is allowed, known ones and unknown', () => {
  const acknowledged = call([7, 8], both, wrote(3, 2));
  expect(checkRevisions([first, second, acknowledged, apart], sharing, shared)).toEqual([]);
  expect(checkRevisions([first, second, third, apart], sharing, shared)).toEqual([]);
  expect(checkRevisions([first, second, acknowledged, apart], sharing).join()).toMatch(/\(e\)/);
});

test.each<[string, readonly CommitCall[], readonly LoggedChange[], RegExp]>([
  ['half of an unknown commit', [first, second, third, apart], sharing.toSpliced(3, 1), /\(e\)/],
  ['a write that is not in the log', [first, second, third, apart], log, /\(c\)/],
  [
    'one that reads what the other writes',
    [
      first,
      second,
      call([7, 8], both, wrote(3, 2)),
      call(
        [7, 8],
        { apply: [...put('c', 'x').apply, { op: 'get', key: 'b' }] },
        { succeeded: true, revision: 3, results: [null, null] },
      ),
    ],
    sharing,
    /\(a\)/,
  ],
  [
    'two writers of one key',
    [first, call([3, 4], put('a', '2'), wrote(2)), call([3, 4], put('a', '9'), wrote(2)), third],
    log,
    /\(c\)/,
  ],
])('[checker] where revisions are shared the oracle tells of %s', (_, calls, entries, rule) => {
  expect(checkRevisions(calls, entries, shared).join()).toMatch(rule);
});
