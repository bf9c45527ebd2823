import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { folder, run, url } from '../support/served.js';

const show = ['sh', '-c', 'echo "$WAYMARK_NAME $WAYMARK_POSITION $WAYMARK_TOKEN"; exit 3'];

test('[A1] name claim runs a command under the lowest free name, and frees it', async () => {
  const { code, out } = await run('name', 'claim', '/metrics', '--', ...show);
  expect([code, out]).toEqual([3, expect.stringMatching(/^Denali 0 \d+\n$/)]);
  expect((await run('name', 'members', '/metrics')).out).toBe('');
  const named = ['name', 'claim', '/web', '--list', 'web:2', '--', ...show];
  expect((await run(...named)).out).toMatch(/^web1 0 /);
});

test('[A7] held without a command until interrupted; members and watch tell of it', async () => {
  const watching = runWaymark(url, ['name', 'watch', '/held']);
  const holder = runWaymark(url, ['name', 'claim', '/held', '--owner', 'me']);
  await holder.says('Denali\n');
  await watching.says('+ Denali  me');
  const { out } = await run('name', 'members', '/held');
  expect(out).toBe('Denali  me\n');
  const told = JSON.parse((await run('--json', 'name', 'members', '/held')).out) as object;
  expect(told).toMatchObject({ size: 99, members: [{ name: 'Denali', owner: 'me' }] });
  expect((await holder.stop()).code).toBe(0);
  await watching.says('- Denali  me');
  expect((await watching.stop()).code).toBe(0);
});

test('[A5] name claim is exhausted, late, or badly asked: each with its exit code', async () => {
  const file = join(folder, 'list');
  writeFileSync(file, 'only\n');
  const holder = runWaymark(url, ['name', 'claim', '/one', '--list', `@${file}`]);
  await holder.says('only\n');
  const cases: [string[], keyof typeof errorTable][] = [
    [['/one'], 'exhausted'],
    [['/one', '--wait', '50ms'], 'timeout'],
    [['/one', '--list', 'x:2'], 'conflict'],
    [['/one', '--list', 'hills'], 'invalid'],
    [['/one', '--list', `@${file}.none`], 'invalid'],
    [['/one', '--ttl', '0s'], 'invalid'],
    [['/one', '--list', 'x:10001'], 'too_large'],
  ];
  for (const [args, code] of cases) {
    const { code: exit, err } = await run('--json', 'name', 'claim', ...args, '--', 'true');
    expect(exit, args.join(' ')).toBe(errorTable[code].exit);
    expect((JSON.parse(err) as { error: { code: string } }).error.code).toBe(code);
  }
  const waiting = runWaymark(url, ['name', 'claim', '/one', '--wait', '20s', '--', ...show]);
  await holder.stop();
  expect((await waiting.done).out).toMatch(/^only 0 /);
});

test('[A9] name claim --grace: killed and started again, an owner has its name again', async () => {
  const args = ['name', 'claim', '/kept', '--ttl', '1s', '--grace', '5m', '--owner'];
  const killed = runWaymark(url, [...args, 'me']);
  await killed.says('Denali\n');
  await killed.stop('SIGKILL');
  expect((await run(...args, 'you', '--', ...show)).out).toMatch(/^MtLogan /);
  expect((await run(...args, 'me', '--', ...show)).out).toMatch(/^Denali /);
});
