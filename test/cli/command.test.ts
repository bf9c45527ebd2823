import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve, waymark } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'waymark-cli-'));
let server: Command;
let url: string;

const run = async (...args: string[]) => await runWaymark(url, args).done;

beforeAll(async () => {
  ({ command: server, url } = await serve(['--engine', `file:${join(folder, 'data')}`]));
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('[cli] put, get, ls, del: text in, text out, and JSON', async () => {
  expect(await run('put', '/a/b', 'hello')).toMatchObject({ code: 0, out: '' });
  expect(await run('get', '/a/b')).toMatchObject({ code: 0, out: 'hello\n' });
  expect((await runWaymark(url, ['put', '/a/c', '-'], 'from stdin').done).code).toBe(0);
  expect((await run('ls', '/')).out).toContain('a/\n  b  "hello"\n  c  "from stdin"');
  const { out } = await run('get', '/a/b', '--json');
  expect(JSON.parse(out)).toMatchObject({ path: '/a/b', value: 'hello', version: 1 });
  expect(await run('get', '/nothing')).toMatchObject({ code: 1, out: '' });
  expect((await run('get', '/a/b/c/d', '--nearest')).out).toBe('/a/b  hello\n');
  expect(await run('get', '/x/y', '--nearest')).toMatchObject({ code: 1, out: '' });
  expect((await run('del', '/a', '--tree')).out).toBe('2 deleted\n');
  expect((await run('del', '/a')).code).toBe(1);
});

test('[cli] bad input is a typed error with its exit code, before any work', async () => {
  const deep = '/a'.repeat(33);
  const cases: [string[], keyof typeof errorTable][] = [
    [['put', deep, 'x'], 'too_large'],
    [['put', `/${'x'.repeat(1_024)}`, 'x'], 'too_large'],
    [['put', '/a/../b', 'x'], 'invalid'],
    [['put', '/a//b', 'x'], 'invalid'],
    [['put', '/x', 'y', '--if-revision', '999999'], 'conflict'],
    [['get', '/x', '--at', '99999999'], 'future_revision'],
    [['lock', '/x', '--ttl', '0s', '--', 'true'], 'invalid'],
  ];
  for (const [args, code] of cases) {
    const { code: exit, err } = await run('--json', ...args);
    expect(exit, args.join(' ').slice(0, 60)).toBe(errorTable[code].exit);
    expect((JSON.parse(err) as { error: { code: string } }).error.code).toBe(code);
  }
  const big = await runWaymark(url, ['put', '/big', '-'], 'x'.repeat(1_048_577)).done;
  expect(big.code).toBe(errorTable.too_large.exit);
  const many = { apply: Array.from({ length: 129 }, (_, i) => ({ put: `/m/${i}`, value: 'x' })) };
  expect((await runWaymark(url, ['txn'], JSON.stringify(many)).done).code).toBe(
    errorTable.too_large.exit,
  );
  expect((await run('ls', '/')).out).toBe('');
  expect((await run('put', '/__proto__', 'plain data')).code).toBe(0);
  expect((await run('get', '/__proto__')).out).toBe('plain data\n');
});

test('[cli] ls shows the tree in its order, by levels, and says when there is more', async () => {
  for (const path of ['/ls/a/c', '/ls/a-b', '/ls/a', '/ls/d/e/f']) await run('put', path, 'x');
  expect((await run('ls', '/ls')).out).toBe('a  "x"\n  c  "x"\na-b  "x"\nd/\n  e/\n    f  "x"\n');
  expect((await run('ls', '/ls', '--depth', '1')).out).toBe('a  "x"\na-b  "x"\nd/\n');
  const part = await run('ls', '/ls', '--limit', '2');
  expect(part.out.split('\n').length).toBe(3);
  expect(part.err).toContain('more than 2 entries');
  expect((await run('ls', '/ls', '--depth', '0')).code).toBe(errorTable.invalid.exit);
  expect((await run('ls', '/ls', '--leaves')).out).toBe('/ls/a-b\n/ls/a/c\n/ls/d/e/f\n');
  const leaf = await run('ls', '/ls', '--leaves', '--limit', '1', '--json');
  expect([leaf.out, leaf.err]).toEqual(['{"path":"/ls/a-b"}\n', expect.stringContaining('more')]);
  const both = await run('ls', '/ls', '--leaves', '--depth', '1');
  expect(both.code).toBe(errorTable.invalid.exit);
  const json = (await run('ls', '/ls/d', '--json')).out.trim().split('\n');
  expect(json.map((line) => JSON.parse(line) as unknown)).toEqual([
    { path: '/ls/d/e' },
    { path: '/ls/d/e/f', value: 'x' },
  ]);
  await run('del', '/ls', '--tree');
});

test('[cli] a pipe gets no colors, not even in a CI that shows them, unless they are forced', async () => {
  await run('put', '/colors/a', 'x');
  const args = [waymark, '--server', url, 'ls', '/colors'];
  const ls = async (env: NodeJS.ProcessEnv): Promise<string> =>
    (await new Command(process.execPath, args, { env }).done).out;
  expect(await ls({ CI: 'true' })).toBe('a  "x"\n');
  expect(await ls({ FORCE_COLOR: '1' })).toContain('\u001b[1m');
  expect((await run('del', '/colors', '--tree')).code).toBe(0);
});

test('[cli] txn says by its exit code whether the checks held', async () => {
  const txn = JSON.stringify({
    when: [{ path: '/t', exists: false }],
    apply: [{ put: '/t', value: '1' }],
  });
  expect((await runWaymark(url, ['txn'], txn).done).code).toBe(0);
  expect((await runWaymark(url, ['txn'], txn).done).code).toBe(1);
});

test('[cli] watch prints what is there and what changes, one JSON a line', async () => {
  await run('put', '/w/1', 'there');
  const watch = runWaymark(url, ['watch', '/w', '--tree', '--json']);
  await watch.says('there');
  await run('put', '/w/2', 'later');
  await watch.says('later');
  const { code, out } = await watch.stop('SIGINT');
  expect(code).toBe(0);
  const kinds = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { path: string }).path);
  expect(kinds).toEqual(['/w/1', '/w/2']);
});

test('[L1] lock from two shells: the second runs when the first has ended, with a greater token', async () => {
  const script = (name: string) => ['sh', '-c', `echo ${name} $WAYMARK_TOKEN`];
  const hold = 'echo one $WAYMARK_TOKEN; cat > /dev/null';
  const first = runWaymark(url, ['lock', '/deploy', '--', 'sh', '-c', hold], null);
  await first.says('one');
  const second = runWaymark(url, ['lock', '/deploy', '--', ...script('two')]);
  while (!(await run('explain', '/deploy')).out.includes('1 wait'))
    expect(second.child.exitCode).toBe(null);
  expect(second.out).toBe('');
  first.child.stdin?.end();
  const both = await Promise.all([first.done, second.done]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  const [one, two] = both.map(({ out }) => Number(out.split(' ')[1]));
  expect(two).toBeGreaterThan(one as number);
});

test('[cli] lock passes the exit code on, and its own are told apart', async () => {
  expect((await run('lock', '/x', '--', 'sh', '-c', 'exit 7')).code).toBe(7);
  expect((await run('lock', '/x', '--', 'sh', '-c', 'kill -9 $$')).code).toBe(137);
  expect((await run('lock', '/x', '--', '/no/such/command')).code).toBe(127);
  const holder = runWaymark(url, ['lock', '/x', '--', 'sh', '-c', 'echo in; exec sleep 60']);
  await holder.says('in');
  expect((await run('lock', '/x', '--wait', '100ms', '--', 'true')).code).toBe(
    errorTable.timeout.exit,
  );
  const { code } = await holder.stop('SIGTERM');
  expect(code).toBe(143);
  expect((await run('lock', '/x', '--wait', '0s', '--', 'true')).code).toBe(0);
});

test('[L11] a command that ignores TERM is dead before its lost lock passes on', async () => {
  const stubborn = "trap '' TERM; echo pid $$; while :; do sleep 1; done";
  const holder = runWaymark(url, ['lock', '/stubborn', '--', 'sh', '-c', stubborn]);
  await holder.says('pid');
  const pid = Number(/pid (\d+)/.exec(holder.out)?.[1]);
  expect((await run('unlock', '/stubborn', '--force', '--reason', 'test')).code).toBe(0);
  expect((await holder.done).code).toBe(errorTable.lost.exit);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('[cli] a server that is not there is told in seconds', async () => {
  const { code, err } = await runWaymark('http://127.0.0.1:9', ['status']).done;
  expect(code).toBe(errorTable.unavailable.exit);
  expect(err).toContain('http://127.0.0.1:9');
});

test('[cli] backup and restore: the same data, revisions above every one given out', async () => {
  await run('put', '/kept', 'value');
  const before = JSON.parse((await run('status', '--json')).out) as { revision: number };
  const file = join(folder, 'backup');
  expect((await run('backup', file)).code).toBe(0);
  const data = join(folder, 'restored');
  expect((await run('restore', file, '--data', data)).code).toBe(0);
  expect((await run('restore', file, '--data', data)).code).toBe(errorTable.conflict.exit);
  const restored = await serve(['--engine', `file:${data}`]);
  const other = async (...args: string[]) => await runWaymark(restored.url, args).done;
  expect((await other('get', '/kept')).out).toBe('value\n');
  const after = JSON.parse((await other('status', '--json')).out) as { revision: number };
  expect(after.revision).toBeGreaterThan(before.revision + 1_000_000);
  const token = await other('lock', '/kept', '--', 'sh', '-c', 'echo $WAYMARK_TOKEN');
  expect(Number(token.out)).toBeGreaterThan(after.revision);
  expect((await restored.command.stop()).code).toBe(0);
  expect((await new Command(process.execPath, [waymark, 'inspect', data]).done).out).toContain(
    'kept',
  );
});

test('[cli] completion scripts are made for three shells, and bash takes its own', async () => {
  const { out } = await run('completion', 'bash');
  const complete = async (...words: string[]): Promise<string[]> => {
    const script = `${out}\nCOMP_WORDS=(waymark ${words.join(' ')}); COMP_CWORD=${words.length}; _waymark; echo "\${COMPREPLY[@]}"`;
    return (await new Command('bash', ['-c', script]).done).out.trim().split(' ');
  };
  expect(await complete('lo')).toEqual(['lock', 'log']);
  expect(await complete('lock', '--t')).toEqual(['--tree', '--ttl']);
  for (const shell of ['zsh', 'fish'])
    expect((await run('completion', shell)).out).toContain('lock');
  expect((await run('completion', 'csh')).code).toBe(2);
});

test('[cli] a second server on the same data is told who has it', async () => {
  const second = new Command(process.execPath, [
    waymark,
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--engine',
    `file:${join(folder, 'data')}`,
  ]);
  const { code, err } = await second.done;
  expect(code).toBe(errorTable.taken.exit);
  expect(err).toContain(String(server.child.pid));
});

test('[cli] serve keeps as much history as it is told, and refuses what is no amount', async () => {
  const bad = new Command(process.execPath, [waymark, 'serve', '--history-revisions', 'many']);
  const refused = await bad.done;
  expect(refused.code).toBe(errorTable.invalid.exit);
  expect(refused.err).toContain('history.revisions');
  const little = ['--engine', 'memory', '--history-revisions', '2', '--history-bytes', '0'];
  const { command, url: other } = await serve(little);
  await using space = await open(other);
  const keys = space.namespace<number>('default');
  for (let value = 0; value < 1_000; value++) await keys.put('/counter', value);
  const past = keys.get('/counter', { at: 10 });
  await expect(past).rejects.toMatchObject({ code: 'compacted' });
  await space.close();
  expect((await command.stop()).code).toBe(0);
});

test('[cli] serve refuses to listen beyond loopback, and stops within seconds of SIGTERM', async () => {
  const open = new Command(process.execPath, [
    waymark,
    'serve',
    '--listen',
    '0.0.0.0:0',
    '--engine',
    'memory',
  ]);
  expect((await open.done).code).toBe(errorTable.denied.exit);
  const { command, url: other } = await serve(['--engine', 'memory']);
  const watch = runWaymark(other, ['watch', '/', '--tree']);
  const started = performance.now();
  expect((await command.stop()).code).toBe(0);
  expect(performance.now() - started).toBeLessThan(10_000);
  await watch.stop('SIGKILL');
});
