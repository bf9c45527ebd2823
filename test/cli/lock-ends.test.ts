import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve } from '../support/command.js';
import { lastStep, shell, stubborn } from '../support/shell.js';

/** `waymark lock PATH -- COMMAND`: nothing of the command runs on when the lock can pass to someone else. */

const cli = shell();
const { folder } = cli;

test('[L11] waymark itself is killed: its command is gone before the lock passes on', async () => {
  const file = join(folder, 'killed');
  const holder = cli.begin(['lock', '/killed', '--ttl', '2s', '--', ...stubborn(file)]);
  await holder.says('started');
  const next = cli.begin(['lock', '/killed', '--', 'date', '+%s%3N']);
  holder.child.kill('SIGKILL');
  const { code, out } = await next.done;
  expect(code).toBe(0);
  expect(lastStep(file)).toBeLessThan(Number(out));
  const before = lastStep(file);
  await expect(cli.begin(['explain', '/killed']).done).resolves.toMatchObject({ code: 0 });
  expect(lastStep(file), 'no step after the lock passed on').toBe(before);
});

test('[L11] the server is lost: the command is ended within the TTL, with the code of a lost lock', async () => {
  const { command: other, url: gone } = await serve(['--engine', 'memory']);
  const file = join(folder, 'lost');
  const holder = runWaymark(gone, ['lock', '/lost', '--ttl', '2s', '--', ...stubborn(file)]);
  await holder.says('started');
  const killed = Date.now();
  await other.stop('SIGKILL');
  const { code, err } = await holder.done;
  expect(code, err).toBe(errorTable.lost.exit);
  expect(lastStep(file) - killed).toBeLessThan(2_000);
  expect(Date.now() - killed, 'the command itself ends soon after').toBeLessThan(8_000);
});

test('[L11] what a command leaves behind is gone before the lock is released', async () => {
  const holder = cli.begin(['lock', '/left', '--', 'sh', '-c', 'sleep 600 & echo $!; exit 5']);
  const { code, out } = await holder.done;
  expect(code).toBe(5);
  // Gone, or dead and only not yet waited for by init.
  const { out: state } = await new Command('ps', ['-o', 'state=', '-p', out.trim()]).done;
  expect(['', 'Z']).toContain(state.trim());
});

test('[cli] bytes go in and out as they are', async () => {
  const { out } = await cli.begin(['put', '/bytes', '-'], 'no line end').done;
  expect(out).toBe('');
  expect((await cli.begin(['get', '/bytes', '--raw']).done).out).toBe('no line end');
  const wrong = await cli.begin(['put', '/json', '{', '--as-json']).done;
  expect(wrong).toMatchObject({ code: errorTable.invalid.exit, out: '' });
});
