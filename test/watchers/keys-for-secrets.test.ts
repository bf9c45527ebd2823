import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'waymark';
import { createMemoryEngine, errorTable } from 'waymark/engine';
import { afterAll, expect, test } from 'vitest';
import { serve } from '../server/served.js';
import { runWaymark } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'waymark-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

const wish = { pattern: '/o/*', endpoint: 'http://u:canary-password@192.0.2.1/hook' };

test('[W5.1] over file: the key is made beside the data, and opens what it sealed after a restart', async () => {
  const engine = `file:${join(folder, 'data')}`;
  let id: string;
  {
    await using server = await serve({ engine });
    await using space = await open(server.base);
    ({ id } = (await space.watchers.add(wish)).watcher);
  }
  const file = join(folder, 'data.key');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const key = readFileSync(file, 'utf8');
  {
    await using server = await serve({ engine });
    await using space = await open(server.base);
    expect((await space.watchers.add(wish)).created).toBe(false);
    expect((await space.watchers.change(id, { batch: 3 })).batch).toBe(3);
  }
  expect(readFileSync(file, 'utf8')).toBe(key);
  const stored = readdirSync(join(folder, 'data')).map((name) =>
    readFileSync(join(folder, 'data', name), 'latin1'),
  );
  expect(stored.join('')).toContain(id);
  expect(stored.join('')).not.toContain('canary-password');
  expect(stored.join('')).not.toContain(key.trim().split(':')[1]);
});

test('[W5.1] keys that others may read are refused, and the engine is closed again', async () => {
  const secretsKeyFile = join(folder, 'data.key');
  chmodSync(secretsKeyFile, 0o644);
  const engine = `file:${join(folder, 'data')}`;
  const refused = serve({ engine, watchers: { secretsKeyFile } });
  await expect(refused).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('chmod 600'),
  });
  chmodSync(secretsKeyFile, 0o600);
  await using _server = await serve({ engine, watchers: { secretsKeyFile } });
});

test('[W5.1] an engine that others share takes secrets with a key alone', async () => {
  const engine = createMemoryEngine();
  await using server = await serve({ engine });
  await using space = await open(server.base);
  await expect(space.watchers.add(wish)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('--secrets-key-file'),
  });
  const { pattern } = wish;
  expect((await space.watchers.add({ pattern, endpoint: 'http://192.0.2.1/' })).created).toBe(true);
  const secretsKeyFile = join(folder, 'data.key');
  await using keyed = await serve({ engine, watchers: { secretsKeyFile } });
  await using other = await open(keyed.base);
  expect((await other.watchers.add(wish)).created).toBe(true);
});

test.each([
  [{ ttlMs: 999 }, /TTL/],
  [{ ttlMs: 60_001 }, /TTL/],
  [{ ttlMs: Number.NaN }, /TTL/],
  [{ allowEndpointNet: ['10.0.0.0/33'] }, /10\.0\.0\.0\/33/],
  [{ secretsKeyFile: '/nonexistent/keys' }, /keys/],
  [{ xmppAccountFile: '/nonexistent/account' }, /XMPP account/],
])('[W1.2] %j is refused before anything is served', async (watchers, part) => {
  await expect(serve({ watchers })).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(part),
  });
});

test('[W5.1] XMPP is taken with an account alone, in a file that nobody else may read', async () => {
  const xmpp = { pattern: '/o/*', endpoint: 'xmpp://somebody@example.com/' };
  {
    await using server = await serve();
    await using space = await open(server.base);
    await expect(space.watchers.add(xmpp)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('--xmpp-account-file'),
    });
  }
  const xmppAccountFile = join(folder, 'account.json');
  const account = { jid: 'waymark@example.com', password: 'canary-password' };
  writeFileSync(xmppAccountFile, JSON.stringify(account), { mode: 0o644 });
  await expect(serve({ watchers: { xmppAccountFile } })).rejects.toMatchObject({
    message: expect.stringContaining('chmod 600'),
  });
  chmodSync(xmppAccountFile, 0o600);
  await using server = await serve({ watchers: { xmppAccountFile } });
  await using space = await open(server.base);
  expect((await space.watchers.add(xmpp)).watcher.kind).toBe('xmpp');
});

test('[W5.1] keys are rotated while the server runs: what is stored opens all along, and the old key may go', async () => {
  const secretsKeyFile = join(folder, 'rotated.key');
  const engine = createMemoryEngine();
  let url = 'http://127.0.0.1:1';
  const key = (...args: string[]) => runWaymark(url, ['watcher', 'keys', ...args]).done;

  const old = (await key('generate', secretsKeyFile)).out.trim();
  expect(statSync(secretsKeyFile).mode & 0o777).toBe(0o600);
  expect((await key('generate', secretsKeyFile)).code).toBe(errorTable.conflict.exit);
  let id: string;
  {
    await using server = await serve({ engine, watchers: { secretsKeyFile } });
    await using beside = await serve({ engine, watchers: { secretsKeyFile } });
    await using space = await open(server.base);
    await using other = await open(beside.base);
    url = server.base;
    ({ id } = (await space.watchers.add(wish)).watcher);
    await space.watchers.add({ pattern: '/p/*', endpoint: 'http://192.0.2.1/second' });
    const rotated = await key('rotate', secretsKeyFile, '--json');
    const { id: newest } = JSON.parse(rotated.out) as { id: string };
    expect(statSync(secretsKeyFile).mode & 0o777).toBe(0o600);
    expect(await space.watchers.secretsKeys()).toEqual({
      newest,
      keys: [
        { id: newest, endpoints: 0, here: true },
        { id: old, endpoints: 2, here: true },
      ],
      clear: 0,
    });
    const early = await key('drop', secretsKeyFile, old);
    expect(early).toMatchObject({ code: errorTable.conflict.exit });
    expect(early.err).toContain('2 endpoints');
    expect((await key('reseal', '--json')).out).toBe('{"resealed":2}\n');
    expect((await key('reseal', '--json')).out).toBe('{"resealed":0}\n');
    // The other server has not been told, and meets the new key where it is.
    expect((await other.watchers.change(id, { batch: 3 })).batch).toBe(3);
    expect((await key('drop', secretsKeyFile, old)).code).toBe(0);
    expect(JSON.parse((await key('status', '--json')).out)).toEqual({
      newest,
      keys: [{ id: newest, endpoints: 2, here: true }],
      clear: 0,
    });
    expect((await key('status')).out).toBe(`${newest}  2  encrypts\n`);
    expect(readFileSync(secretsKeyFile, 'utf8')).toMatch(new RegExp(`^${newest}:[^\n]+\n$`));
  }
  await using server = await serve({ engine, watchers: { secretsKeyFile } });
  await using space = await open(server.base);
  expect((await space.watchers.change(id, { batch: 4 })).batch).toBe(4);
});
