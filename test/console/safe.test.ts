import { codecs, open, type Space } from 'waymark';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch, type Tab } from '../support/browser.js';
import { orNotRun } from '../support/not-run.js';
import { url } from '../support/served.js';
import { views } from './views.js';

const chromium = orNotRun('chromium', 'the console in a browser');

/** What the canaries hold lives as long as it. */
let named: Space;

/** Each would run as soon as it stood on the page as markup, or be followed as a link. */
const canaries = [
  '<img src=x onerror=pwned("img")>',
  '<script>pwned("script")<\u{2f}script>',
  '"><svg onload=pwned("svg")>',
  'javascript:pwned("link")',
  '{{constructor.constructor("pwned(1)")()}}',
] as const;

test('[H2] what is served: a policy without inline, no frames, no sniffing; data is stored nowhere', async () => {
  const html = { headers: { accept: 'text/html,*/*' } };
  const page = await fetch(url, html);
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy.split('; ')).toEqual([
    "default-src 'none'",
    ...['script', 'style', 'img', 'connect'].map((what) => `${what}-src 'self'`),
    ...['base-uri', 'form-action', 'frame-ancestors'].map((what) => `${what} 'none'`),
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]);
  expect(page.headers.get('x-content-type-options')).toBe('nosniff');
  expect(page.headers.get('x-frame-options')).toBe('DENY');
  expect(page.headers.get('referrer-policy')).toBe('no-referrer');
  const text = await page.text();
  expect(text).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=|https?:/);

  const [file = ''] = /\/console\/[\w.-]+\.js/.exec(text) ?? [];
  const script = await fetch(url + file);
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(script.headers.get('cache-control')).toContain('immutable');
  expect(script.headers.get('content-security-policy')).toBe(policy);
  const named = await fetch(`${url}/console/index.html`);
  expect(named.headers.get('cache-control'), 'its name stays').toBe('no-cache');
  expect((await fetch(`${url}/console/..%2fpackage.json`)).status).toBe(404);
  expect((await fetch(`${url}/console/constructor`)).status).toBe(404);
  expect(await (await fetch(url)).text()).toContain('/openapi.json');

  for (const path of ['/v1/ns', '/metrics', '/v1/ns/default/keys?tree', '/v1/ns/x/keys/none']) {
    const { headers } = await fetch(url + path);
    expect(headers.get('cache-control'), path).toBe('no-store');
    expect(headers.get('x-content-type-options'), path).toBe('nosniff');
  }
});

if (chromium !== null) {
  let browser: Browser;
  let tab: Tab;
  let space: Space;

  beforeAll(async () => {
    space = await open(url);
    await plant(space);
    browser = await launch();
    tab = await browser.open(url);
  });
  afterAll(async () => {
    expect(tab.troubles).toEqual([]);
    await browser[Symbol.asyncDispose]();
    await space.close();
    await named.close();
  });

  test('[H4] markup in keys, values, owners, names, logs and patterns is shown as text', async () => {
    const { page } = tab;
    await page.exposeFunction('pwned', (how: string) => expect.fail(`${how} ran`));
    for (const view of views) {
      await page.goto(`${url}/#/${view}`);
      // Whatever a view shows of them, it has come when its text holds one.
      if (/overview|stash/.test(view)) await page.getByRole('listitem').first().waitFor();
      else await page.locator('main').getByText('<img src=x').first().waitFor();
      expect(await page.locator('main img, main script, main svg, main iframe').count()).toBe(0);
      expect(await page.locator('a[href^="javascript"]').count()).toBe(0);
    }
    for (const canary of canaries) {
      await page.goto(`${url}/#/tree/default/${encodeURIComponent(canary)}`);
      await page.getByLabel('The value').getByText(canary).waitFor();
      await page.getByText('live', { exact: true }).waitFor();
      await space.namespace('default', { codec: codecs.text }).put(`/${canary}`, `${canary} again`);
      await page.getByLabel('The value').getByText(`${canary} again`).waitFor();
    }
    await page.goto(`${url}/#/tree/${encodeURIComponent(canaries[0])}`);
    await page.getByRole('link', { name: canaries[0] }).first().waitFor();
  });

  test.each(['light', 'dark'] as const)(
    '[H7] no view has a serious fault for who uses aids, on a phone or a desk, %s',
    async (colorScheme) => {
      const { page } = tab;
      await page.emulateMedia({ colorScheme });
      for (const view of views) {
        await page.setViewportSize({ width: 1_200, height: 800 });
        await page.goto(`${url}/#/${view}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page
          .locator('main :is(table, canvas, .children, .empty)')
          .first()
          .waitFor({ state: 'attached' });
        expect(await tab.axe(), view).toEqual([]);
        await page.setViewportSize({ width: 375, height: 700 });
        const wide = 'document.documentElement.scrollWidth - innerWidth';
        expect(await page.evaluate(wide), `${view} is wider than a phone`).toBeLessThanOrEqual(0);
      }
      expect(await tab.axe()).toEqual([]);
    },
  );

  test('[H2] the policy is in force: what it forbids is stopped, and told', async () => {
    const other = await browser.open(url);
    await other.page
      .evaluate(
        `(() => {
      const script = document.createElement('script');
      script.src = 'data:text/javascript,window.ran=true';
      document.body.append(script);
    })()`,
      )
      .catch(() => undefined);
    await expect.poll(() => other.troubles.join()).toContain('policy');
    expect(await other.page.evaluate('window.ran')).toBeUndefined();
    expect(
      await other.page.evaluate(`(() => {
      try { document.body.innerHTML = '<b>x</b>'; } catch (error) { return error.name; }
    })()`),
    ).toBe('TypeError');
    await other.page.close();
  });
}

/** Puts them wherever a person or a program can put a text. */
async function plant(space: Space): Promise<void> {
  const ns = space.namespace('default', { codec: codecs.text });
  const [first] = canaries;
  for (const canary of canaries) {
    await ns.put(`/${canary}`, canary);
    await space.namespace(canary.replaceAll('/', '')).put('/x', canary);
    await ns.log(`/${canary.replaceAll('/', '')}`).append(canary, { author: canary });
  }
  named = await open(url, { owner: first });
  const theirs = named.namespace('default', { codec: codecs.text });
  await theirs.lock(`/${first} held`);
  await theirs.election(`/${first}`).campaign({ value: first });
  await theirs.semaphore(`/${first}`, { limit: 2 }).acquire();
  await theirs.names(`/${first}`, [first]).claim(first);
  await theirs.members(`/${first}`).join({ meta: { first } });
  const role = `/v1/access/roles/${encodeURIComponent(first)}/rules`;
  await post(role, { actions: ['read'], path: `/${first}` });
  await post('/v1/access/tokens', { user: first, roles: [first], note: first });
  await space.watchers.add({ pattern: `/${first}`, endpoint: 'https://receiver.invalid/hook' });
}

async function post(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(url + path, init);
  expect(response.ok, await response.text()).toBe(true);
}
