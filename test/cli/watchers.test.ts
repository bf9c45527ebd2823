import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { folder, run, url } from '../support/served.js';

const endpoint = 'http://u:canary@192.0.2.1/hook';

test('[cli] a watcher is registered, shown, changed and removed, and no secret is shown', async () => {
  const events = runWaymark(url, ['watcher', 'events']);
  const secret = `whsec_${Buffer.from('a canary, of 24 bytes and more').toString('base64')}`;
  writeFileSync(join(folder, 'secret'), `${secret}\n`);
  const labels = ['--label', 'team=x', '--label', '__proto__=y'];
  const options = [
    '--retry',
    '1000,2000',
    '--end',
    'keep',
    '--secret',
    `@${join(folder, 'secret')}`,
  ];
  const added = await run('watcher', 'add', '/o/*', endpoint, ...labels, ...options);
  expect(added).toMatchObject({ code: 0, err: '' });
  const id = added.out.trim();
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  expect((await run('watcher', 'add', '/o/*', endpoint)).out.trim()).toBe(id);
  const outputs = [added.out];
  const shown = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await run('watcher', ...args);
    expect(code, err).toBe(0);
    outputs.push(out);
    return out;
  };
  expect(await shown('ls', '--label', '__proto__=y')).toMatch(new RegExp(`^${id}  active`));
  expect(await shown('ls', '--endpoint', 'http://u:other@192.0.2.1/hook')).toContain(id);
  expect(await shown('ls', '--of', 'elsewhere')).toBe('');
  expect(await shown('show', id)).toMatch(/retry +1000,2000, then keep/);
  expect(JSON.parse(await shown('show', id, '--json'))).toMatchObject({ id, signed: true });
  expect(await shown('change', id, '--lifetime', 'PT1H')).toMatch(/ends +\d{4}-/);
  expect(await shown('change', id, '--lifetime', 'none')).toMatch(/ends +never/);
  expect(await shown('pause', id)).toMatch(/state +paused/);
  expect(await shown('resume', id)).toMatch(/state +active/);
  await shown('replay', id, '--after', 'beginning');
  expect(await shown('dead-letters', id)).toBe('');
  expect(await shown('dead-letters', id, '--drop')).toBe('0 dropped\n');
  expect(await shown('mode', 'pattern:5')).toContain('{"by":"pattern","perPattern":5}');
  const tested = await run('watcher', 'test', id);
  expect(tested).toMatchObject({ code: 1, out: expect.stringContaining('--allow-endpoint-net') });
  outputs.push(tested.out);
  expect((await run('watcher', 'rm', '--label', 'team=x')).out).toBe('removed\n');
  expect((await run('watcher', 'rm', id)).code).toBe(1);
  expect((await run('watcher', 'show', id)).code).toBe(errorTable.not_found.exit);
  await events.says('removed');
  const told = await events.stop('SIGINT');
  expect(told.code).toBe(0);
  expect([...outputs, told.out].join('')).not.toMatch(/canary|whsec_/);
});

test.each([
  [['add', '/o/*', 'gopher://x'], /gopher/],
  [['add', '', endpoint], /pattern/],
  [['add', '/o/*', endpoint, '--lifetime', 'P1M'], /lifetime/],
  [['add', '/o/*', endpoint, '--lifetime', '1e12'], /lifetime/],
  [['add', '/o/*', endpoint, '--lifetime', '999999999999'], /lifetime/],
  [['add', '/o/*', endpoint, '--batch', 'many'], /batch/],
  [['add', '/o/*', endpoint, '--batch', '1001'], /batch/],
  [['add', '/o/*', endpoint, '--retry', 'often'], /retry/],
  [['add', '/o/*', endpoint, '--retry', '1,x'], /retry/],
  [['add', '/o/*', endpoint, '--end', 'explode'], /end/],
  [['add', '/o/*', endpoint, '--format', 'xml'], /format/],
  [['add', '/o/*', endpoint, '--secret', 'canary'], /secret/],
  [['add', '/o/*', endpoint, '--label', 'x'], /label/],
  [['add', '/o/*', endpoint, '--from', 'yesterday'], /revision/],
  [['mode', 'fixed'], /mode/],
  [['show', 'x'], /64/],
  [['rm'], /--label/],
] as const)('[cli] watcher %j is refused', async (args, part) => {
  const { code, err } = await run('watcher', ...args);
  expect(code).toBe(errorTable.invalid.exit);
  expect(err).toMatch(part);
  expect(err).not.toContain('canary');
});
