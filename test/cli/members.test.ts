import { expect, test } from 'vitest';
import { open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { run, url } from '../support/served.js';

test('[cli] join runs a command as a member, and members lists and watches who is there', async () => {
  const watching = runWaymark(url, ['members', '/workers', '--watch', '--json']);
  await watching.says('\n');
  const options = ['--id', 'w1', '--address', 'host:1', '--meta', '{"zone":"x"}', '--lead'];
  const joined = runWaymark(
    url,
    [
      'join',
      '/workers',
      ...options,
      '--',
      'sh',
      '-c',
      'echo "as $WAYMARK_TOKEN"; read -r line; exit 7',
    ],
    null,
  );
  const token = Number((await joined.says('as ')).trim().slice(3));
  await watching.says('"leader":{"id":"w1"');
  expect(await run('members', '/workers', '--leader')).toMatchObject({ code: 0, out: 'w1\n' });
  const listed = await run('members', '/workers');
  expect(listed.out).toMatch(/^w1 {2}host:1 {2}by .* {2}\{"zone":"x"\} {2}leads\n$/);
  const { members } = JSON.parse((await run('members', '/workers', '--json')).out) as {
    members: object[];
  };
  expect(members).toMatchObject([{ id: 'w1', incarnation: token, meta: { zone: 'x' } }]);
  const taken = await run('join', '/workers', '--id', 'w1', '--', 'true');
  expect(taken.code).toBe(errorTable.conflict.exit);
  joined.child.stdin?.end('over\n');
  expect((await joined.done).code).toBe(7);
  await watching.says('"left":[{"id":"w1"');
  expect((await run('members', '/workers', '--leader')).code).toBe(1);
  const { code, out } = await watching.stop('SIGINT');
  expect(code).toBe(0);
  const lines = out.trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { joined: object[] }).joined.length)).toEqual([
    0, 1, 0, 0, 0,
  ]);
});

test('[cli] a member whose lease ends has failed, and its command is ended', async () => {
  const watching = runWaymark(url, ['members', '/failing', '--watch']);
  const joined = runWaymark(url, ['join', '/failing', '--id', 'f', '--', 'sleep', '60']);
  await watching.says('joined  f  -');
  await using space = await open(url);
  const { members } = await space.namespace('default').members('/failing').list();
  await fetch(`${url}/v1/leases/${String(members[0]?.lease)}`, { method: 'DELETE' });
  const { code, err } = await joined.done;
  expect(code, err).toBe(errorTable.lost.exit);
  await watching.says('failed  f  -');
  await watching.stop('SIGINT');
});

test('[cli] what cannot be is refused', async () => {
  const cases: [string[], keyof typeof errorTable][] = [
    [['members', '/a', '--watch', '--leader'], 'invalid'],
    [['members', '/a//b'], 'invalid'],
    [['join', '/a', '--meta', '{', '--', 'true'], 'invalid'],
    [['join', '/a', '--id', 'x'.repeat(129), '--', 'true'], 'too_large'],
    [['join', '/a', '--ttl', '1ms', '--', 'true'], 'invalid'],
  ];
  for (const [args, code] of cases) {
    expect((await run(...args)).code, args.join(' ')).toBe(errorTable[code].exit);
  }
});
