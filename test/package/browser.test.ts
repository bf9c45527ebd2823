import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.js';
import { type Command, serve, runWaymark } from '../support/command.js';
import { root } from '../tidy/sources.js';

/** The library in a real browser: a page of the server's own origin, which loads `waymark/browser` as it is. */

const library = readFileSync(join(root, 'packages/waymark/dist/bundle/browser.js'), 'utf8');

let server: Command;
let url: string;
let browser: Browser;
let complaints: string[] = [];

beforeAll(async () => {
  ({ command: server, url } = await serve(['--engine', 'memory']));
  browser = await launchChromium();
});

afterEach(() => {
  const heard = complaints;
  complaints = [];
  expect(heard).toEqual([]);
});

afterAll(async () => {
  await browser.close();
  await server.stop();
});

/** A page that the server itself answers with: browsers keep others from loopback. */
async function openPage(origin = url): Promise<Page> {
  const page = await browser.newPage({ bypassCSP: true });
  await page.route(`${origin}/waymark.js`, (route) =>
    route.fulfill({ contentType: 'text/javascript', body: library }),
  );
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(`${origin}/healthz`);
  return page;
}

/** Runs a body of an async function in the page, with `waymark` and `url`. */
async function run(page: Page, body: string): Promise<unknown> {
  return await page.evaluate(`(async () => {
    const waymark = await import('/waymark.js');
    const url = ${JSON.stringify(url)};
    ${body}
  })()`);
}

test.each(['http', 'ws'])('[package] a page writes, reads, and locks over %s:', async (scheme) => {
  const page = await openPage();
  const found = await run(
    page,
    `
    const space = await waymark.open(url.replace('http', '${scheme}'));
    const jobs = space.namespace('jobs');
    const big = 'ü'.repeat(300_000);
    await jobs.put('/größe', big);
    await jobs.put('/42', { state: 'queued' });
    const entry = await jobs.get('/42');
    const lock = await jobs.lock('/42', { ttlMs: 10_000 });
    const second = await jobs.tryLock('/42');
    await jobs.put('/42', { state: 'done' }, { hold: lock });
    await lock.release();
    const late = await jobs.put('/42', 1, { hold: lock }).catch((error) => [error.code, error instanceof waymark.WaymarkError]);
    const same = (await jobs.get('/größe')).value === big;
    const after = (await jobs.get('/42')).value;
    await space.close();
    return { value: entry.value, token: lock.token, second, late, same, after };
  `,
  );
  expect(found).toEqual({
    value: { state: 'queued' },
    token: expect.any(Number),
    second: null,
    late: ['lost', true],
    same: true,
    after: { state: 'done' },
  });
  await page.close();
});

test('[package] a page watches what others write, and waits for a lock of theirs', async () => {
  const page = await openPage();
  await run(
    page,
    `
    globalThis.space = await waymark.open(url);
    const ns = space.namespace('default');
    globalThis.seen = [];
    void (async () => {
      for await (const event of ns.watch('/shared', { tree: true })) {
        seen.push([event.kind, event.path, event.value]);
      }
    })().catch((error) => (globalThis.ended = error.message));
  `,
  );
  await runWaymark(url, ['put', '/shared/a', '"from a shell"']).done;
  await page.waitForFunction(
    `seen.some(([kind, path]) => kind === 'put' && path === '/shared/a')`,
    undefined,
    { timeout: 5_000 },
  );
  const holder = runWaymark(url, ['lock', '/shared/a', '--', 'cat'], null);
  await page.waitForFunction(`seen.some(([kind]) => kind === 'lock')`);
  await run(
    page,
    `
    globalThis.taken = null;
    void space.namespace('default').lock('/shared/a').then((lock) => (globalThis.taken = lock));
  `,
  );
  expect(await page.evaluate('taken')).toBeNull();
  holder.child.stdin?.end();
  await page.waitForFunction('taken !== null && taken.isHeld()');
  // A page that goes away without a word gives its lock up with its lease, or by the connection that ends.
  await page.evaluate('taken.release().then(() => space.close())');
  const types = (await page.evaluate('seen.map(([kind]) => kind)')) as string[];
  expect(types).toEqual(expect.arrayContaining(['put', 'lock', 'unlock']));
  await page.close();
});

test('[package] a page says what it cannot do', async () => {
  const page = await openPage();
  const said = await run(
    page,
    `
    const codes = [];
    const told = (error) => codes.push(error.code + ': ' + error.message);
    await waymark.open('file:./state').catch(told);
    await waymark.open().catch(told);
    await waymark.open(url + '?ca=/etc/ca.pem').catch(told);
    const space = await waymark.open(url);
    await space.namespace('n').members('/g').join({ listen: ':0', handle: () => null }).catch(told);
    await space.close();
    return codes;
  `,
  );
  expect(said).toEqual([
    expect.stringMatching(/^invalid: a page has no engine 'file:/),
    expect.stringMatching(/^invalid: a page has no engine 'memory:/),
    expect.stringMatching(/^invalid: .*ca=/),
    expect.stringMatching(/^invalid: a page cannot listen/),
  ]);
  await page.close();
});

test('[package] a page of another origin is refused', async () => {
  const page = await openPage(url.replace('127.0.0.1', 'localhost'));
  const code = await run(
    page,
    `return await waymark.open(url, { connectTimeoutMs: 1_000 }).then(() => 'open', (error) => error.code);`,
  );
  expect(code).toBe('unavailable');
  await page.close();
});
