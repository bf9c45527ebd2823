import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { Command, serve } from '../../test/support/command.js';

let folder: string;
let server: Command;
let url: string;

const start = async (): Promise<void> => {
  ({ command: server, url } = await serve(['--engine', `file:${join(folder, 'state')}`]));
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waymark-stash-examples-'));
  await start();
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

const example = (
  name: string,
  args: readonly string[],
  options: { input?: string | null; env?: NodeJS.ProcessEnv } = {},
) =>
  new Command(
    process.execPath,
    [fileURLToPath(new URL(`../dist/stash/${name}.js`, import.meta.url)), url, ...args],
    options,
  );

const done = async (...call: Parameters<typeof example>): Promise<string> => {
  const { code, out, err } = await example(...call).done;
  expect(code, err).toBe(0);
  return out;
};

/** A site of one page, that counts who asks. */
async function startSite(): Promise<{ site: Server; address: string; asked: () => number }> {
  let asked = 0;
  const site = createServer((request, response) => {
    asked++;
    response.writeHead(request.url === '/page' ? 200 : 404).end('a page');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  const { port } = site.address() as AddressInfo;
  return { site, address: `http://127.0.0.1:${port}`, asked: () => asked };
}

test('[D11] cache: what one process fetched another has, until its time is over; what is not there is not kept', async () => {
  const { site, address, asked } = await startSite();
  const input = `${address}/page\n${address}/page\n`;
  expect(await done('cache', [], { input })).toBe(
    `ready\n${address}/page: 6 bytes (source)\n${address}/page: 6 bytes (cache)\n`,
  );
  expect(await done('cache', [], { input })).toBe(
    `ready\n${`${address}/page: 6 bytes (cache)\n`.repeat(2)}`,
  );
  expect(asked()).toBe(1);
  const missing = await done('cache', [], { input: `${address}/none\n${address}/none\n` });
  expect([missing, asked()]).toEqual([`ready\n${`${address}/none: 404\n`.repeat(2)}`, 3]);
  // Kept for a moment: asked again and again, it comes from its source in the end.
  const brief = example('cache', [], { input: null, env: { TTL_MS: '200' } });
  await brief.says('ready');
  const before = asked();
  while (asked() < before + 2) {
    const length = brief.out.length;
    brief.child.stdin?.write(`${address}/page#brief\n`);
    await brief.grows(length);
  }
  brief.child.stdin?.end();
  expect((await brief.done).code).toBe(0);
  site.close();
});

test('[D11] cache: without a server that keeps it, pages come from their source', async () => {
  const { site, address, asked } = await startSite();
  const { command, url: elsewhere } = await serve(['--engine', 'memory', '--no-stash']);
  const main = fileURLToPath(new URL('../dist/stash/cache.js', import.meta.url));
  const input = `${address}/page\n${address}/page\n`;
  const { code, out, err } = await new Command(process.execPath, [main, elsewhere], { input }).done;
  expect([code, out.split('(source)').length, asked()]).toEqual([0, 3, 2]);
  expect(err).toContain('without the cache: ');
  await command.stop();
  site.close();
});

test('[D11] key/value: put, get, list, delete and load; it is there after a restart', async () => {
  expect(await done('key-value', ['put', 'user/42', '{"name":"Ada"}'])).toBe('on 1 of 1 disks\n');
  const lines = Array.from({ length: 3_000 }, (_, i) => `item/${i} ${i}\n`).join('');
  expect(await done('key-value', ['load'], { input: lines })).toBe('3000 put\n');
  await server.stop('SIGKILL');
  await start();
  expect(await done('key-value', ['get', 'user/42', 'item/2999'])).toBe(
    'user/42 {"name":"Ada"}\nitem/2999 2999\n',
  );
  expect((await done('key-value', ['list', 'item/'])).trim().split('\n').length).toBe(3_000);
  expect(await done('key-value', ['list', 'user/'])).toBe('user/42 {"name":"Ada"}\n');
  await done('key-value', ['delete', 'user/42', 'item/7']);
  const { code, out } = await example('key-value', ['get', 'item/8', 'item/7']).done;
  expect([code, out]).toEqual([1, 'item/8 8\nitem/7 undefined\n']);
  expect((await example('key-value', ['take']).done).code).toBe(2);
});

test('[D11] data mapping: objects are keys and values, found one by one, in a batch and by prefix', async () => {
  const record = (sensor: string, hour: string, ...degrees: string[]) =>
    done('data-mapping', ['record', sensor, hour, ...degrees]);
  await record('17', '2026-03-01T10', '20.5', '21', '20.75');
  await record('17', '2026-03-01T23', '-3.25');
  await record('17', '2026-03-02T00', '4');
  await record('18', '2026-03-01T10', '30');
  expect(await done('data-mapping', ['day', '17', '2026-03-01'])).toBe(
    '17 2026-03-01T10 20.75\n17 2026-03-01T23 -3.25\n',
  );
  expect(await done('data-mapping', ['all', '17'])).toBe(
    '17 2026-03-01T10 20.5 21 20.75\n17 2026-03-01T23 -3.25\n17 2026-03-02T00 4\n',
  );
  expect(await done('data-mapping', ['all', '19'])).toBe('');
});

const newMaster = (id: string): string => `${id}:${randomBytes(32).toString('base64')}`;

test('[D11] key management: a changed master key leaves secrets as they are, and the old one opens nothing any more', async () => {
  const [old, next] = [newMaster('old'), newMaster('next')];
  const keys = (masters: string, args: string[], input = '') =>
    example('key-management', args, { input, env: { MASTER_KEYS: masters } }).done;
  const run = async (...call: Parameters<typeof keys>): Promise<string> => {
    const { code, out, err } = await keys(...call);
    expect(code, err).toBe(0);
    return out;
  };
  await run(old, ['seal', 'acme', 'smtp'], 'hunter2');
  await run(old, ['renew', 'acme']);
  await run(old, ['seal', 'acme', 'db'], 'correct horse');
  await run(old, ['seal', 'other', 'db'], 'battery');
  expect(await run(old, ['open', 'acme', 'smtp'])).toBe('hunter2');

  await using space = await open(url);
  const secrets = space.stash.index<Record<string, unknown>>('secrets');
  const before = await secrets.get(['acme', 'smtp']);
  expect(Buffer.from(before?.['bytes'] as Uint8Array).toString()).not.toContain('hunter2');

  expect(await run(`${next},${old}`, ['rewrap'])).toBe('3 keys wrapped by next\n');
  expect(await run(`${next},${old}`, ['rewrap'])).toBe('0 keys wrapped by next\n');
  expect(await secrets.get(['acme', 'smtp'])).toEqual(before);
  expect(await run(next, ['open', 'acme', 'smtp'])).toBe('hunter2');
  expect(await run(next, ['open', 'acme', 'db'])).toBe('correct horse');
  expect(await run(next, ['open', 'other', 'db'])).toBe('battery');
  expect(await keys(old, ['open', 'acme', 'smtp'])).toMatchObject({
    code: 1,
    err: 'it takes the master key next: it is not among MASTER_KEYS\n',
  });

  // Put where it does not belong, a secret does not open.
  await secrets.put(['acme', 'db'], before ?? {});
  expect(await keys(next, ['open', 'acme', 'db'])).toMatchObject({
    code: 1,
    err: 'secret ["acme","db"] was changed, or belongs elsewhere\n',
  });
});

test('[D11] key management: processes that begin with a tenant at once take one key', async () => {
  const env = { MASTER_KEYS: newMaster('one') };
  const seals = Array.from({ length: 4 }, (_, i) =>
    done('key-management', ['seal', 'crowd', `n${i}`], { input: `text ${i}`, env }),
  );
  await Promise.all(seals);
  await using space = await open(url);
  const secrets = space.stash.index<{ key: string }>('secrets');
  const sealed = await secrets.getMany([0, 1, 2, 3].map((i) => ['crowd', `n${i}`]));
  expect(new Set(sealed.map((one) => one?.key)).size).toBe(1);
  const wrapped: unknown[] = [];
  for await (const [key] of space.stash.index('wrapped-keys').scan({ prefix: ['crowd'] })) {
    wrapped.push(key);
  }
  expect(wrapped).toEqual([['crowd', sealed[0]?.key]]);
});
