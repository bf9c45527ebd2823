import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { folder, run, url } from '../support/served.js';

/** `waymark sem PATH -n N -- COMMAND`: as `lock`, but several at once. */

let space: Space;

beforeAll(async () => {
  space = await open(url);
});
afterAll(async () => {
  await space.close();
});

async function waitersAre(path: string, waiting: number): Promise<void> {
  const late = AbortSignal.timeout(20_000);
  const semaphore = space.namespace('default').semaphore(path);
  while ((await semaphore.status())?.waiting !== waiting) late.throwIfAborted();
}

/** Holds until its input ends. */
const holding = ['--', 'sh', '-c', 'echo started; read -r _; exit 7'];

test('[P2] two at once, the third waits for its turn; the exit code is the command’s own', async () => {
  const first = runWaymark(url, ['sem', '/two', '-n', '2', ...holding], null);
  const second = runWaymark(url, ['sem', '/two', '-n', '2', ...holding], null);
  await Promise.all([first.says('started'), second.says('started')]);
  const third = runWaymark(url, [
    ...['sem', '/two', '-n', '2', '--owner', 'third', '--', 'sh', '-c'],
    'echo "$WAYMARK_TOKEN $WAYMARK_SEMAPHORE_PATH $WAYMARK_WEIGHT"',
  ]);
  await waitersAre('/two', 1);
  const shown = await run('sem', '/two');
  expect(shown.out).toMatch(/hold 2 of 2 permits of \/two.*\n {2}holds: .*\n.*\n {2}1\. third/);
  expect(third.out).toBe('');
  first.child.stdin?.end();
  expect((await first.done).code).toBe(7);
  const { code, out } = await third.done;
  expect(code).toBe(0);
  expect(out).toMatch(/^\d+ \/two 1\n$/);
  second.child.stdin?.end();
  await second.done;
  expect(JSON.parse((await run('--json', 'sem', '/two')).out)).toMatchObject({
    limit: 2,
    used: 0,
    holders: [],
  });
});

test('[P5 P6] no room, another limit, none, too heavy: each has its exit code', async () => {
  expect((await run('sem', '/codes', '--', 'true')).code).toBe(errorTable.not_found.exit);
  const holder = runWaymark(url, ['sem', '/codes', '-n', '2', '-w', '2', ...holding], null);
  await holder.says('started');
  const cases: [string[], keyof typeof errorTable][] = [
    [['--wait', '0s', '--', 'true'], 'timeout'],
    [['--wait', '50ms', '--', 'true'], 'timeout'],
    [['-n', '3', '--', 'true'], 'limit_mismatch'],
    [['-w', '3', '--', 'true'], 'invalid'],
    [['-n', '0', '--', 'true'], 'invalid'],
    [['-n', 'two', '--', 'true'], 'invalid'],
    [['--resize', '3', '--', 'true'], 'invalid'],
    [['--remove'], 'conflict'],
  ];
  for (const [args, code] of cases) {
    const { code: exit, err } = await run('--json', 'sem', '/codes', ...args);
    expect(exit, args.join(' ')).toBe(errorTable[code].exit);
    expect((JSON.parse(err) as { error: { code: string } }).error.code).toBe(code);
  }
  holder.child.stdin?.end();
  await holder.done;
});

test('[P7 P12] a resize lets in who fits, and ends nobody; remove forgets the limit', async () => {
  const first = runWaymark(url, ['sem', '/resized', '-n', '1', ...holding], null);
  await first.says('started');
  const second = runWaymark(url, ['sem', '/resized', ...holding], null);
  await waitersAre('/resized', 1);
  expect((await run('sem', '/resized', '--resize', '2')).out).toContain('2 of 2 permits');
  await second.says('started');
  expect((await run('sem', '/resized', '--resize', '1')).out).toContain('2 of 1 permits');
  for (const holder of [first, second]) {
    holder.child.stdin?.end();
    expect((await holder.done).code).toBe(7);
  }
  expect(await run('sem', '/resized', '--remove')).toMatchObject({ code: 0, out: 'removed\n' });
  expect((await run('sem', '/resized', '--remove')).code).toBe(1);
});

test('[P9] waymark itself is killed: its command is gone before the permit passes on', async () => {
  const file = join(folder, 'killed');
  const step = `date +%s%3N > ${file}.new; mv ${file}.new ${file}; sleep 0.02`;
  const work = `trap '' TERM; echo started; for i in $(seq 500); do ${step}; done`;
  const holder = runWaymark(url, [
    ...['sem', '/killed', '-n', '1', '--ttl', '2s', '--', 'sh', '-c'],
    work,
  ]);
  await holder.says('started');
  const next = runWaymark(url, ['sem', '/killed', '--', 'date', '+%s%3N']);
  await waitersAre('/killed', 1);
  holder.child.kill('SIGKILL');
  const { code, out } = await next.done;
  expect(code).toBe(0);
  expect(Number(readFileSync(file, 'utf8'))).toBeLessThan(Number(out));
});
