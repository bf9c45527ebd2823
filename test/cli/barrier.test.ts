import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { type Command } from '../support/command.js';
import { lastStep, shell, stubborn } from '../support/shell.js';

/** `waymark barrier PATH --parties N -- COMMAND`: all commands begin together, and end together. */

const cli = shell();
const { folder, run } = cli;

const enter = (path: string, ...argv: string[]): Command =>
  cli.begin(['barrier', path, '--parties', '2', '--ttl', '2s', '--', ...argv], null);
const status = async (path: string): Promise<string> =>
  (await run('barrier', path, '--parties', '2', '--double', '--status')).out;
const until = async (path: string, text: string): Promise<void> => {
  while (!(await status(path)).includes(text));
};
/** Says that it runs, and ends when its input does. */
const held = [
  'sh',
  '-c',
  'echo "$WAYMARK_BARRIER_PATH $WAYMARK_GENERATION"; cat > /dev/null; exit 3',
];

test('[B6] no command begins before all have come, and no waymark ends before all have left', async () => {
  const one = enter('/d', ...held);
  await until('/d', '1 of 2 missing');
  expect(one.out).toBe('');
  const two = enter('/d', 'sh', '-c', 'echo two');
  await Promise.all([one.says('/d 1'), two.says('two')]);
  await until('/d', '1 times\n  ');
  expect((await status('/d')).match(/is inside/g)?.length, 'the other has left').toBe(1);
  expect(two.child.exitCode, 'and waits').toBeNull();
  one.child.stdin?.end();
  expect((await one.done).code, 'the exit code of its command').toBe(3);
  expect((await two.done).code).toBe(0);
  const again = [enter('/d', ...held), enter('/d', 'true')];
  await again[0]?.says('/d 2');
  again[0]?.child.stdin?.end();
  await Promise.all(again.map((each) => each.done));
});

test('[B7] who is killed has left: its command is gone by then', async () => {
  const file = join(folder, 'killed');
  const killed = enter('/k', ...stubborn(file));
  const other = enter('/k', 'true');
  await killed.says('started');
  killed.child.kill('SIGKILL');
  expect((await other.done).code).toBe(0);
  const before = lastStep(file);
  expect(await status('/k')).not.toContain('inside');
  expect(lastStep(file), 'no step after the other went on').toBe(before);
});

test('[B4] who gives up is not counted, and who is interrupted leaves without waiting for the others', async () => {
  const late = await run('barrier', '/g', '--parties', '2', '--wait', '50ms', '--', 'echo', 'no');
  expect(late).toMatchObject({ code: errorTable.timeout.exit, out: '' });
  const waiting = enter('/g', 'echo', 'no');
  await until('/g', '1 of 2 missing');
  expect(await waiting.stop()).toMatchObject({ code: 130, out: '' });
  const [one, two] = [enter('/g', ...held), enter('/g', 'echo', 'two')];
  await Promise.all([one.says('/g'), two.says('two')]);
  while ((await status('/g')).match(/is inside/g)?.length !== 1);
  expect((await two.stop()).code, 'its command was done').toBe(0);
  expect((await one.stop()).code, '128 + TERM').toBe(143);
  const bad = await run('barrier', '/g', '--parties', '101', '--', 'true');
  expect(bad.code).toBe(errorTable.invalid.exit);
});
