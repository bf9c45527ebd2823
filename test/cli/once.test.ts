import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark, serve } from '../support/command.js';
import { lastStep, shell, stubborn } from '../support/shell.js';

/** `waymark once PATH -- COMMAND`: of all who come one runs the command, and nothing of it runs on when another can. */

const cli = shell();
const { folder, run } = cli;

/** Says that it runs, and ends when its input does. */
const held = (code: number): string[] => ['sh', '-c', `echo ran; cat > /dev/null; exit ${code}`];

test('[O1] of many one runs the command; the others wait for its end, and do not run it', async () => {
  const first = cli.begin(['once', '/m/1', '--owner', 'one', '--', ...held(0)], null);
  await first.says('ran');
  const refused = await run('once', '/m/1', '--no-wait', '--', 'echo', 'no');
  expect(refused).toMatchObject({ code: errorTable.timeout.exit, out: '' });
  const late = await run('once', '/m/1', '--wait', '50ms', '--', 'echo', 'no');
  expect(late).toMatchObject({ code: errorTable.timeout.exit, out: '' });
  const waiting = [1, 2].map(() => cli.begin(['once', '/m/1', '--', 'echo', 'twice']));
  while (!(await run('once', 'show', '/m/1')).out.includes('2 wait'));
  expect((await run('once', 'show', '/m/1')).code, 'not done yet').toBe(1);
  first.child.stdin?.end();
  expect((await first.done).code).toBe(0);
  for (const one of waiting) expect(await one.done).toMatchObject({ code: 0, out: '' });
  const told = await run('--json', 'once', '/m/1', '--done-code', '9', '--', 'echo', 'twice');
  expect(told.code).toBe(9);
  expect(JSON.parse(told.out)).toEqual({ path: '/m/1', ran: false, code: 9 });
  const shown = await run('once', 'show', '/m/1');
  expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('done by one') as string });
});

test('[O3] a command that fails is run by the next; or by nobody, until it is forgotten', async () => {
  const first = cli.begin(['once', '/fails', '--', ...held(3)], null);
  await first.says('ran');
  const second = cli.begin(['once', '/fails', '--', 'sh', '-c', 'echo $WAYMARK_ONCE_PATH']);
  while (!(await run('once', 'show', '/fails')).out.includes('1 wait'));
  first.child.stdin?.end();
  expect((await first.done).code, 'the exit code of the command').toBe(3);
  expect(await second.done).toMatchObject({ code: 0, out: '/fails\n' });
  const recorded = ['once', '/bad', '--record-failure', '--', 'sh', '-c', 'exit 4'];
  expect((await run(...recorded)).code).toBe(4);
  const refused = await run(...recorded);
  expect(refused.code).toBe(errorTable.failed.exit);
  expect(refused.err).toContain('exit code 4');
  const { out } = await run('once', 'ls', '/');
  expect(out).toMatch(/^failed {3}\/bad {2}.*exit code 4$/m);
  expect(out).toMatch(/^done {5}\/fails {2}/m);
  expect(await run('once', 'forget', '/bad')).toMatchObject({ code: 0, out: 'forgotten\n' });
  expect((await run('once', 'forget', '/bad')).code).toBe(1);
  expect((await run('once', '/bad', '--', 'true')).code).toBe(0);
});

test('[O2] waymark is killed: its command is gone before the next one runs it, under a greater token', async () => {
  const file = join(folder, 'killed');
  const args = ['once', '/killed', '--ttl', '2s', '--'];
  const first = cli.begin([...args, ...stubborn(file)]);
  await first.says('started');
  const next = cli.begin([...args, 'sh', '-c', 'date +%s%3N; echo $WAYMARK_TOKEN']);
  first.child.kill('SIGKILL');
  const { code, out } = await next.done;
  const [began = 0, token = 0] = out.split('\n').map(Number);
  expect(code).toBe(0);
  expect(lastStep(file)).toBeLessThan(began);
  expect(token).toBeGreaterThan(0);
});

test('[O11] the server is lost: the command is ended within the TTL, and not recorded as failed', async () => {
  const { command: other, url: gone } = await serve(['--engine', 'memory']);
  const file = join(folder, 'lost');
  const args = ['once', '/lost', '--ttl', '2s', '--record-failure', '--', ...stubborn(file)];
  const holder = runWaymark(gone, args);
  await holder.says('started');
  const killed = Date.now();
  await other.stop('SIGKILL');
  const { code, err } = await holder.done;
  expect(code, err).toBe(errorTable.lost.exit);
  expect(lastStep(file) - killed).toBeLessThan(2_000);
});

test('[O4] interrupted: who waits leaves with 130, whose command runs ends it and records nothing', async () => {
  const first = cli.begin(['once', '/stop', '--record-failure', '--', ...held(0)], null);
  await first.says('ran');
  const waiting = cli.begin(['once', '/stop', '--', 'true']);
  while (!(await run('once', 'show', '/stop')).out.includes('1 wait'));
  expect((await waiting.stop('SIGINT')).code).toBe(130);
  expect((await first.stop('SIGTERM')).code, '128 + TERM').toBe(143);
  expect((await run('once', 'show', '/stop')).out).toContain('has not run; nobody waits');
});

test('[O9] schedule runs each due time once, is listed, and goes on elsewhere when its leader ends', async () => {
  const file = join(folder, 'due');
  writeFileSync(file, '');
  const args = ['schedule', '/due', '--every', '200ms', '--', 'sh', '-c'];
  const job = `echo "$WAYMARK_DUE $WAYMARK_TOKEN $PPID" >> ${file}`;
  const both = [1, 2].map(() => cli.begin([...args, job]));
  const lines = (): string[] => readFileSync(file, 'utf8').trim().split('\n');
  const until = async (fact: () => boolean): Promise<void> => {
    while (!fact()) await run('schedules');
  };
  await until(() => lines().length >= 2);
  const { out } = await run('schedules', '/due');
  expect(out).toMatch(/^\/due {2}every 200 ms {2}.* leads {2}last \S+Z {2}next \S+Z\n$/);
  const leader = both.find(({ child }) => lines()[0]?.endsWith(` ${child.pid}`));
  expect((await leader?.stop())?.code).toBe(0);
  const before = lines().length;
  await until(() => lines().length >= before + 2);
  await Promise.all(both.map((one) => one.stop()));
  const due = lines().map((line) => line.split(' ').map(Number) as [number, number, number]);
  expect(new Set(due.map(([at]) => at)).size).toBe(due.length);
  expect(due.every(([at]) => at % 200 === 0)).toBe(true);
  expect(new Set(due.map(([, term]) => term)).size).toBe(2);
  expect((await run('schedules')).out).toMatch(
    /^\/due {2}- {2}nobody leads {2}last \S+Z {2}next -$/m,
  );
});

test('[O6] waymark is killed: the command of its schedule is gone before another leads', async () => {
  const file = join(folder, 'leads');
  const began = join(folder, 'began');
  const args = ['schedule', '/long', '--every', '200ms', '--ttl', '2s', '--'];
  const first = cli.begin([...args, ...stubborn(file)]);
  await first.says('started');
  const next = cli.begin([...args, 'sh', '-c', `date +%s%3N >> ${began}; echo taken`]);
  first.child.kill('SIGKILL');
  await next.says('taken');
  await next.stop();
  expect(lastStep(file)).toBeLessThan(Number(readFileSync(began, 'utf8').split('\n')[0]));
});

test('[O8] a failing command of a schedule is told, and what is asked badly is refused', async () => {
  const failing = cli.begin([
    'schedule',
    '/f',
    '--every',
    '100ms',
    '--',
    'sh',
    '-c',
    'echo x; exit 3',
  ]);
  await failing.says('x\nx\nx\n');
  const { code, err } = await failing.stop();
  expect(code).toBe(0);
  expect(err.match(/\/f, due at \S+Z: exit code 3/g)?.length).toBeGreaterThanOrEqual(2);
  const bad = [
    ['schedule', '/s', '--', 'true'],
    ['schedule', '/s', '--every', '1s', '--cron', '* * * * *', '--', 'true'],
    ['schedule', '/s', '--every', '10ms', '--', 'true'],
    ['schedule', '/s', '--cron', '61 * * * *', '--', 'true'],
    ['once', '/s'],
    ['once', '/s', '--done-code', '256', '--', 'true'],
    ['once', '/s', '--ttl', '10ms', '--', 'true'],
  ];
  for (const args of bad) {
    expect((await run(...args)).code, args.join(' ')).toBe(errorTable.invalid.exit);
  }
});
