import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { codecs, type Members, type Message, open, type Space } from 'waymark';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { run, url } from '../support/served.js';

let space: Space;

beforeAll(async () => {
  space = await open(url);
});

afterAll(async () => {
  await space.close();
});

const groupOf = (path: string): Members =>
  space.namespace('default', { codec: codecs.text }).members(path);

test('[cli] send prints the reply of the leader, or of one member', async () => {
  const handle = ({ from, guest, body }: Message): string => `${from} ${guest} ${String(body)}`;
  await groupOf('/w').join({ id: 'led', lead: true, handle });
  await groupOf('/w').join({ id: 'other', handle });
  const sent = await run('send', '/w', 'hello', '--owner', 'me', '--deadline', '30s');
  expect(sent).toEqual({ code: 0, out: 'me true hello\n', err: '' });
  const one = await runWaymark(url, ['send', 'w', '-', '--to', 'other', '--owner', 'x'], 'a\nb')
    .done;
  expect(one.out).toBe('x true a\nb\n');
  const told = await run('--json', 'send', '/w', '{"a":1}', '--as-json', '--owner', 'me');
  const value = 'me true {"a":1}';
  expect(JSON.parse(told.out)).toEqual({ outcome: 'delivered', member: 'led', value });
});

test('[cli] send tells by its exit code what became of a message', async () => {
  let finish = (): void => {};
  const handle = async ({ body }: Message): Promise<void> => {
    if (body === 'no') throw new Error('not today');
    await new Promise<void>((resolve) => (finish = resolve));
  };
  await groupOf('/fate').join({ id: 'm', handle });
  const refused = await run('send', '/fate', 'no', '--to', 'm');
  expect(refused.code).toBe(errorTable.failed.exit);
  expect(refused.err).toBe('waymark: not today (failed)\n');
  const leaderless = await run('send', '/fate', 'x', '--deadline', '50ms', '--json');
  expect(leaderless.code).toBe(errorTable.unavailable.exit);
  expect(JSON.parse(leaderless.err)).toMatchObject({
    error: { code: 'unavailable', outcome: 'refused', seen: false, path: '/fate' },
  });
  const hung = await run('send', '/fate', 'hang', '--to', 'm', '--deadline', '100ms');
  expect(hung.code).toBe(errorTable.uncertain.exit);
  finish();
});

test('[cli] broadcast prints a line per member; exit code 1 when one of them has not handled it', async () => {
  await groupOf('/all').join({ id: 'one', handle: ({ body }) => `one ${String(body)}` });
  await groupOf('/all').join({ id: 'two', handle: () => 'two\nlines' });
  const heard = await run('broadcast', '/all', 'hi');
  expect(heard.code, heard.err).toBe(0);
  expect(heard.out.trim().split('\n').sort()).toEqual(['one  "one hi"', 'two  "two\\nlines"']);
  await groupOf('/all').join({ id: 'deaf' });
  const all = await run('broadcast', '/all', 'hi', '--json');
  expect(all.code).toBe(1);
  const replies = all.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(new Map(replies.map(({ member, outcome }) => [member, outcome]))).toEqual(
    new Map([
      ['one', 'delivered'],
      ['two', 'delivered'],
      ['deaf', 'refused'],
    ]),
  );
  const some = await run('broadcast', '/all', 'hi', '--only', 'one', '--only', 'deaf');
  expect(some.out.trim().split('\n').sort()).toEqual([
    'deaf  refused: deaf takes no messages in /all',
    'one  "one hi"',
  ]);
  expect(await run('broadcast', '/nobody', 'hi')).toEqual({ code: 0, out: '', err: '' });
});

const handled = `
case "$(cat)" in
  no) echo "not today" >&2; exit 3 ;;
  quiet) exit 4 ;;
  large) head -c 1048577 /dev/zero ;;
  many) head -c 1048576 /dev/zero | tr '\\0' x ;;
  *) printf '%s by %s for %s %s %s' "$WAYMARK_MESSAGE_KIND" "$WAYMARK_MEMBER" "$WAYMARK_FROM" \
    "$WAYMARK_GUEST" "\${WAYMARK_TERM:+led}" ;;
esac`;

test('[cli] join --handle takes messages by a command: its output is the reply, its failure a refusal', async () => {
  const args = ['join', 'shell', '--id', 's', '--lead', '--handle', handled];
  const joined = runWaymark(url, args, null);
  await joined.says('s\n');
  const led = await run('send', '/shell', 'x', '--owner', 'me', '--deadline', '30s');
  expect(led.out, led.err).toBe('send by s for me true led\n');
  const one = await run('send', '/shell', 'x', '--owner', 'me', '--to', 's');
  expect(one.out).toBe('send by s for me true \n');
  const member = await groupOf('/shell').join({ id: 'm' });
  expect(await member.sendTo('s', 'x')).toMatchObject({ value: 'send by s for m false ' });
  const refused = await run('send', '/shell', 'no', '--to', 's');
  expect(refused.err).toBe('waymark: not today (failed)\n');
  const quiet = await run('send', '/shell', 'quiet', '--to', 's');
  expect(quiet.err).toContain('its command ended with 4');
  expect((await run('send', '/shell', 'large', '--to', 's')).err).toContain('1048576 bytes');
  expect((await run('send', '/shell', 'many', '--to', 's')).out.length).toBe(1_048_577);
  const { code, err } = await joined.stop();
  expect(code).toBe(0);
  expect(err).toContain('not today');
  const { members } = await groupOf('/shell').list();
  expect(members.map(({ id }) => id)).toEqual(['m']);
});

test('[cli] join --handle answers more messages than it runs commands at once, and what it has begun before it leaves', async () => {
  const slow = 'read -r n; echo begun >&2; sleep 0.2; echo "did $n"';
  const joined = runWaymark(url, ['join', '/slow', '--id', 's', '--handle', slow], null);
  await joined.says('s\n');
  const sent = Array.from({ length: 20 }, (_, at) => groupOf('/slow').sendTo('s', `${at}\n`));
  for (const [at, reply] of (await Promise.all(sent)).entries()) {
    expect(reply).toMatchObject({ outcome: 'delivered', value: `did ${at}\n` });
  }
  const last = groupOf('/slow').sendTo('s', 'last\n');
  while (joined.err.split('begun').length <= 21)
    await new Promise((resolve) => joined.child.stderr?.once('data', resolve));
  joined.child.kill('SIGINT');
  expect(await last).toMatchObject({ value: 'did last\n' });
  expect((await joined.done).code).toBe(0);
});

/** A process that nobody has waited for has no command line any more. */
function works(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false;
  }
}

test('[cli] join --handle runs its command beside it, and kills what it handles when the membership is lost', async () => {
  const hang = 'echo "$$" >&2; exec sleep 600';
  const args = [
    'join',
    '/lost',
    '--id',
    'l',
    '--handle',
    hang,
    '--',
    'sh',
    '-c',
    'echo up; sleep 600',
  ];
  const joined = runWaymark(url, args, null);
  await joined.says('up');
  const sent = groupOf('/lost').sendTo('l', 'x', { deadlineMs: 2_000 });
  while (!/\d+\n/.test(joined.err))
    await new Promise((resolve) => joined.child.stderr?.once('data', resolve));
  const pid = Number(joined.err.trim());
  const { members } = await groupOf('/lost').list();
  await fetch(`${url}/v1/leases/${String(members[0]?.lease)}`, { method: 'DELETE' });
  expect((await joined.done).code).toBe(errorTable.lost.exit);
  const late = AbortSignal.timeout(5_000);
  while (works(pid)) late.throwIfAborted();
  expect((await sent).outcome).not.toBe('delivered');
});

test('[cli] messages that cannot be are refused', async () => {
  const cases: [string[], keyof typeof errorTable][] = [
    [['send', '/a', 'x', '--deadline', '11m'], 'invalid'],
    [['send', '/a', 'x', '--deadline', 'soon'], 'invalid'],
    [['send', '/a//b', 'x'], 'invalid'],
    [['send', '/a', 'x', '--to', ''], 'invalid'],
    [['send', '/a', '{', '--as-json'], 'invalid'],
    [['send', '/a', 'x', '--owner', 'x'.repeat(257)], 'too_large'],
    [['broadcast', '/a', 'x', '--only', 'x'.repeat(129)], 'too_large'],
    [['join', '/a'], 'invalid'],
  ];
  for (const [args, code] of cases) {
    expect((await run(...args)).code, args.join(' ')).toBe(errorTable[code].exit);
  }
  const large = await runWaymark(url, ['send', '/a', '-'], 'x'.repeat(1_048_577)).done;
  expect(large.code).toBe(errorTable.too_large.exit);
});
