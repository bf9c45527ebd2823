import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve } from '../support/command.js';
import { lastStep, shell, stubborn } from '../support/shell.js';

/** `waymark elect PATH -- COMMAND`: nothing of the command runs on when another can be elected. */

const cli = shell();
const { folder, run } = cli;

test('[E1] of two shells the second leads when the first has ended, in a greater term', async () => {
  expect(await run('leader', '/chief')).toMatchObject({ code: 1, out: 'nobody leads\n' });
  const hold = 'echo $WAYMARK_ELECTION_PATH $WAYMARK_TERM; cat > /dev/null; exit 7';
  const lead = ['elect', '/chief', '--owner', 'one', '--value', 'here', '--'];
  const first = cli.begin([...lead, 'sh', '-c', hold], null);
  await first.says('/chief');
  const term = Number(first.out.split(' ')[1]);
  expect((await run('leader', '/chief')).out).toBe(`one leads, term ${term}  "here"\n`);
  const shown = JSON.parse((await run('leader', '/chief', '--json')).out) as object;
  expect(shown).toMatchObject({ owner: 'one', term, value: 'here' });
  expect((await run('elect', '/chief', '--wait', '50ms', '--', 'true')).code).toBe(
    errorTable.timeout.exit,
  );
  const second = cli.begin(['elect', '/chief', '--', 'sh', '-c', 'echo $WAYMARK_TERM']);
  await candidates('/chief', 1);
  expect(second.out).toBe('');
  first.child.stdin?.end();
  expect((await first.done).code, 'the exit code of the command').toBe(7);
  const { code, out } = await second.done;
  expect(code).toBe(0);
  expect(Number(out)).toBeGreaterThan(term);
});

test('[E3] leader --watch prints every leader until interrupted', async () => {
  const watching = cli.begin(['leader', '/seen', '--watch']);
  await watching.says('nobody leads');
  await run('elect', '/seen', '--owner', 'seen', '--', 'true');
  await watching.says('seen leads');
  while (watching.out.split('nobody leads').length < 3) await watching.grows(watching.out.length);
  expect((await watching.stop('SIGINT')).code).toBe(0);
});

test('[E7] waymark itself is killed: its command is gone before the next leader’s begins', async () => {
  const file = join(folder, 'killed');
  const leader = cli.begin(['elect', '/killed', '--ttl', '2s', '--', ...stubborn(file)]);
  await leader.says('started');
  const next = cli.begin(['elect', '/killed', '--', 'date', '+%s%3N']);
  await candidates('/killed', 1);
  leader.child.kill('SIGKILL');
  const { code, out } = await next.done;
  expect(code).toBe(0);
  expect(lastStep(file)).toBeLessThan(Number(out));
});

test('[E7] the server is lost: the command is ended within the TTL, with the code of a lost hold', async () => {
  const { command: other, url: gone } = await serve(['--engine', 'memory']);
  const file = join(folder, 'lost');
  const leader = runWaymark(gone, ['elect', '/lost', '--ttl', '2s', '--', ...stubborn(file)]);
  await leader.says('started');
  const killed = Date.now();
  await other.stop('SIGKILL');
  const { code, err } = await leader.done;
  expect(code, err).toBe(errorTable.lost.exit);
  expect(lastStep(file) - killed).toBeLessThan(2_000);
});

test('[E7] interrupted, waymark ends its command with TERM and resigns; one that waits stands no longer', async () => {
  const sleeps = ['elect', '/int', '--', 'sh', '-c', 'echo in; exec sleep 60'];
  const leader = cli.begin(sleeps);
  await leader.says('in');
  const waiting = cli.begin(['elect', '/int', '--', 'true']);
  await candidates('/int', 1);
  expect((await waiting.stop('SIGINT')).code).toBe(130);
  await candidates('/int', 0);
  expect((await leader.stop('SIGTERM')).code).toBe(143);
  expect((await run('elect', '/int', '--wait', '0s', '--', 'true')).code).toBe(0);
});

test('[E7] what a command leaves behind is gone before waymark resigns', async () => {
  const leave = 'sleep 600 & echo $!; exit 5';
  const { code, out } = await run('elect', '/left', '--', 'sh', '-c', leave);
  expect(code).toBe(5);
  // Gone, or dead and only not yet waited for by init.
  const { out: state } = await new Command('ps', ['-o', 'state=', '-p', out.trim()]).done;
  expect(['', 'Z']).toContain(state.trim());
});

test('[cli] elect refuses bad input before it runs anything', async () => {
  const touch = join(folder, 'touched');
  for (const [args, code] of [
    [['elect', '/x', '--ttl', '0s'], 'invalid'],
    [['elect', '/a//b'], 'invalid'],
    [['elect', '/x', '--owner', 'o'.repeat(257)], 'too_large'],
    [['elect', '/x', '--wait', 'soon'], 'invalid'],
  ] as const) {
    const { code: exit } = await run(...args, '--', 'touch', touch);
    expect(exit, args.join(' ')).toBe(errorTable[code].exit);
  }
  expect(() => readFileSync(touch)).toThrow('ENOENT');
  expect((await run('elect', '/x', '--', '/no/such/command')).code).toBe(127);
});

async function candidates(path: string, count: number): Promise<void> {
  await using space = await open(cli.url);
  const election = space.namespace('default').election(path);
  while ((await election.explain()).waiters.length !== count);
}
