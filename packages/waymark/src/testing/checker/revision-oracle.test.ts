import { expect, test } from 'vitest';
import {
  checkRevisions,
  type CommitCall,
  type CommitInput,
  type CommitOutput,
  type LoggedChange,
} from './revision-oracle.js';

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
