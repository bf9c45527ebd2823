import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { run, url } from '../support/served.js';

test('[J2, J4] log put and get: the newest value, a repeated id once, exit 1 for nothing', async () => {
  expect(await run('log', 'get', 'samplekey')).toMatchObject({ code: 1, out: '' });
  expect(await run('log', 'put', 'samplekey', 'samplevalue')).toMatchObject({
    code: 0,
    out: '1\n',
  });
  expect(await run('log', 'get', 'samplekey')).toMatchObject({ code: 0, out: 'samplevalue\n' });
  expect((await run('log', 'put', 'samplekey', 'again', '--id', 'one')).out).toBe('2\n');
  expect((await run('log', 'put', 'samplekey', 'again', '--id', 'one')).out).toBe('2\n');
  expect((await runWaymark(url, ['log', 'put', 'samplekey', '-'], 'piped').done).out).toBe('3\n');
  const { out } = await run('--json', 'log', 'get', 'samplekey', '--all');
  const entries = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { position: number; value: string });
  expect(entries.map(({ position, value }) => [position, value])).toEqual([
    [3, 'piped'],
    [2, 'again'],
    [1, 'samplevalue'],
  ]);
  const oldest = await run('log', 'get', 'samplekey', '--oldest', '--limit', '1');
  expect(oldest.out).toMatch(/^ {7}1 {2}\S+Z {2}\S+ {2}"samplevalue"\n$/);
  expect((await run('log', 'get', 'samplekey', '--limit', '0')).code).toBe(errorTable.invalid.exit);
});

test('[J5, J6] log watch follows, log retain drops', async () => {
  await run('log', 'put', '/audit', 'one');
  const watching = runWaymark(url, ['log', 'watch', '/audit', '--after', '0']);
  await watching.says('"one"');
  await run('log', 'put', '/audit', 'two');
  await watching.says('"two"');
  watching.child.kill('SIGINT');
  expect((await watching.done).code).toBe(0);
  expect((await run('log', 'retain', '/audit', '--entries', '1', '--age', '720h')).out).toBe(
    '1 kept, the next is 3\n',
  );
  expect((await run('log', 'watch', '/audit', '--after', '0')).code).toBe(
    errorTable.compacted.exit,
  );
});

test('[C1, C3] counter prints, adds and sets', async () => {
  expect((await run('counter', '/hits')).out).toBe('0\n');
  expect((await run('counter', '/hits', '--add', '3')).out).toBe('3\n');
  expect((await run('counter', '/hits', '--add=-5')).out).toBe('-2\n');
  expect((await run('counter', '/hits', '--set', '7', '--if-value=-2')).out).toBe('7\n');
  const refused = await run('counter', '/hits', '--set', '7', '--if-value', '0');
  expect(refused.code).toBe(errorTable.conflict.exit);
  expect((await run('counter', '/hits', '--add', 'x')).code).toBe(errorTable.invalid.exit);
  expect((await run('counter', '/hits', '--add', '1', '--set', '2')).code).toBe(
    errorTable.invalid.exit,
  );
});

test('[C5, C6] latch waits until it is opened', async () => {
  expect((await run('latch', '/ready', '--wait', '10ms')).code).toBe(errorTable.timeout.exit);
  const waiting = run('latch', '/ready');
  expect((await run('latch', '/ready', '--open')).out).toBe('opened\n');
  expect((await waiting).code).toBe(0);
  expect((await run('latch', '/ready', '--open')).out).toBe('open already\n');
});

test('[B1, B5] barrier passes when all have come', async () => {
  const first = run('barrier', '/start', '--parties', '2', '--owner', 'one');
  for (;;) {
    const { out } = await run('barrier', '/start', '--parties', '2', '--status');
    if (out === '1 of 2 missing, passed 0 times\n  one\n') break;
  }
  expect((await run('barrier', '/start', '--parties', '3')).code).toBe(
    errorTable.limit_mismatch.exit,
  );
  expect((await run('barrier', '/start', '--parties', '2')).out).toBe('1\n');
  expect(await first).toMatchObject({ code: 0, out: '1\n' });
});

test('[cli] completion knows the commands of log', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { out } = await run('completion', shell);
    for (const word of ['retain', 'oldest', 'barrier', 'latch']) expect(out).toContain(word);
  }
});
