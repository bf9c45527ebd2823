import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';

let folder: string;
const started: Command[] = [];
/** Where nothing is installed. */
let elsewhere: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waymark-bin-'));
  elsewhere = mkdtempSync(join(tmpdir(), 'waymark-elsewhere-'));
  const script = join(root, 'scripts/build-bin.mjs');
  const { code, out, err } = await new Command(process.execPath, [script, '--out', folder]).done;
  expect(code, out + err).toBe(0);
}, 300_000);

afterAll(async () => {
  // What a test that failed has left.
  await Promise.all(started.map((one) => one.stop('SIGKILL')));
  for (const made of [folder, elsewhere]) rmSync(made, { recursive: true, force: true });
});

/** How each of the two is started. */
const kinds = [
  ['the executable', () => [join(folder, 'waymark')]],
  ['the script', () => [process.execPath, join(folder, 'waymark.cjs')]],
] as const;

function start(line: readonly string[], args: readonly string[], more: object = {}): Command {
  const [file = '', ...first] = line;
  const one = new Command(file, [...first, ...args], { cwd: elsewhere, ...more });
  started.push(one);
  return one;
}

test.each(kinds)('[D10] %s tells its version, and of wrong usage', async (_, line) => {
  const { version } = JSON.parse(
    readFileSync(join(root, 'packages/server/package.json'), 'utf8'),
  ) as { version: string };
  expect(await start(line(), ['--version']).done).toEqual({
    code: 0,
    out: `${version}\n`,
    err: '',
  });
  expect((await start(line(), ['sevre']).done).code).toBe(2);
});

test.each(kinds)(
  '[D10] %s serves, keeps what it was given, and is its own client',
  async (name, line) => {
    const data = join(elsewhere, name);
    const once = async (work: (url: string) => Promise<void>): Promise<void> => {
      const args = ['--json', 'serve', '--listen', '127.0.0.1:0', '--engine', `file:${data}`];
      const server = start(line(), args, { input: null, env: { TMPDIR: elsewhere } });
      const { addresses } = JSON.parse(await server.says('\n')) as { addresses: string[] };
      await work(`http://${addresses[0]}`);
      const { code, err } = await server.stop();
      expect([code, err]).toEqual([0, '']);
    };
    const run = async (url: string, ...args: string[]): Promise<string> => {
      const { code, out, err } = await start(line(), ['--server', url, ...args]).done;
      expect([code, err]).toEqual([0, '']);
      return out;
    };
    await once(async (url) => {
      const at = `${url}/v1/ns/default/keys/greeting`;
      expect((await fetch(at, { method: 'PUT', body: 'hello' })).status).toBeLessThan(300);
      expect(await (await fetch(at)).text()).toBe('hello');
      await run(url, 'stash', 'put', 'i', 'k', 'in LMDB');
      const ready = (await (await fetch(`${url}/openapi.json`)).json()) as { openapi: string };
      expect(ready.openapi).toMatch(/^3\.1/);
      await using space = await open(url);
      await (await space.namespace('n').lock('/a')).release();
    });
    await once(async (url) => {
      expect(await run(url, 'get', '/greeting')).toBe('hello\n');
      expect(await run(url, 'stash', 'get', 'i', 'k')).toBe('in LMDB\n');
    });
    // What the executable wrote to load its library is gone.
    expect(readdirSync(elsewhere).filter((one) => one.startsWith('waymark-'))).toEqual([]);
  },
);

test.each(kinds)('[D10] %s has the clients of the other engines inside', async (_, line) => {
  for (const engine of ['etcd://127.0.0.1:9/x', 'postgres://a:b@127.0.0.1:9/x?timeoutMs=500']) {
    const { code, err } = await start(line(), ['serve', '--engine', engine]).done;
    expect([engine, code, err]).toEqual([
      engine,
      errorTable.unavailable.exit,
      expect.not.stringContaining('npm install'),
    ]);
  }
});

test('[D10] the executable has the clients of all endpoints inside', async () => {
  const account = join(elsewhere, 'account.json');
  const jid = { jid: 'me@127.0.0.1', password: 'p', host: '127.0.0.1', port: 9, tls: 'none' };
  writeFileSync(account, JSON.stringify(jid), { mode: 0o600 });
  const engine = ['--engine', 'memory', '--allow-endpoint-net', '127.0.0.0/8'];
  const server = start(
    [join(folder, 'waymark')],
    ['--json', 'serve', '--listen', '127.0.0.1:0', ...engine, '--xmpp-account-file', account],
    { input: null },
  );
  const { addresses } = JSON.parse(await server.says('\n')) as { addresses: string[] };
  const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const headers = { 'content-type': 'application/json' };
    const call = { method: 'POST', headers, body: JSON.stringify(body) };
    const answer = await fetch(`http://${addresses[0]}/v1/watchers${path}`, call);
    return (await answer.json()) as Record<string, unknown>;
  };
  // Nobody is there: what is to be seen is that each of them tried.
  const tried = await Promise.all(
    [
      ...['http://127.0.0.1:9/', 'ws://127.0.0.1:9/', 'amqp://127.0.0.1:9/q'],
      ...['redis://127.0.0.1:9/?channel=c', 'nats://127.0.0.1:9/s', 'xmpp://you@127.0.0.1/'],
      ...['mysql://u:p@127.0.0.1:9/d/t', 'postgres://u:p@127.0.0.1:9/d?table=t'],
    ].map(async (endpoint) => {
      const { watcher } = await post('', { pattern: '/x', endpoint });
      const { id } = watcher as { id: string };
      return [endpoint, JSON.stringify(await post(`/${id}/test`, {}))] as const;
    }),
  );
  for (const [endpoint, told] of tried)
    expect(told, endpoint).toMatch(/ECONNREFUSED|XMPP: no connection/);
  await server.stop();
});

test('[D10] both can be run by their names', () => {
  const script = readFileSync(join(folder, 'waymark.cjs'), 'utf8');
  expect(script.split('\n')[0]).toBe('#!/usr/bin/env node');
  for (const name of ['waymark', 'waymark.cjs']) {
    expect(statSync(join(folder, name)).mode & 0o111, name).toBe(0o111);
  }
});

test('[D4] without the library a storage node says what is missing, and all else works', async () => {
  const alone = mkdtempSync(join(elsewhere, 'alone-'));
  const script = join(alone, 'waymark.cjs');
  copyFileSync(join(folder, 'waymark.cjs'), script);
  const args = ['stash', '--data', join(alone, 'data'), '--space', 'memory:'];
  const { code, err } = await start([process.execPath, script], args).done;
  expect(code).toBe(errorTable.unavailable.exit);
  expect(err).toContain('the stash needs LMDB, which cannot be loaded: ');
  expect(err).toContain(join(alone, 'lmdb.node'));
  expect((await start([process.execPath, script], ['--version']).done).code).toBe(0);
});
