import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch } from '../support/browser.js';
import { orNotRun } from '../support/not-run.js';
import { url } from '../support/served.js';

const chromium = orNotRun('chromium', 'the console in a browser');

let root: string;
let reader: string;

async function ask(method: string, path: string, body?: object | string): Promise<string> {
  const sent = typeof body === 'object' ? JSON.stringify(body) : body;
  const headers = {
    ...(root !== undefined && { authorization: `Bearer ${root}` }),
    ...(typeof body === 'object' && { 'content-type': 'application/json' }),
  };
  const init = { method, headers, ...(sent === undefined ? {} : { body: sent }) };
  const response = await fetch(url + path, init);
  const text = await response.text();
  expect(response.ok, text).toBe(true);
  return text;
}

const put = (value: string): Promise<string> =>
  ask('PUT', '/v1/ns/default/keys/shop/signed', value);

async function tokenOf(wish: object): Promise<string> {
  const text = await ask('POST', '/v1/access/tokens', wish);
  return (JSON.parse(text) as { token: string }).token;
}

beforeAll(async () => {
  const { token } = JSON.parse(await ask('POST', '/v1/access/on')) as { token: string };
  root = token;
  const actions = ['read', 'watch', 'write'];
  await ask('POST', '/v1/access/roles/shop/rules', { actions, path: '/shop' });
  reader = await tokenOf({ user: 'clerk', roles: ['shop'] });
  await put('first');
});

if (chromium !== null) {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
  });

  test('[H6] who signs in with a token has it sent with everything, and kept for the tab alone', async () => {
    const tab = await browser.open(`${url}/#/tree/default/shop/signed`);
    const { page } = tab;
    const field = page.getByLabel('Token', { exact: true });
    await field.waitFor();
    expect(await tab.axe()).toEqual([]);
    await field.fill('wmk_wrong_token');
    await page.keyboard.press('Enter');
    await page.getByRole('status').waitFor();
    await field.fill(reader);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('live', { exact: true }).waitFor();
    await put('seen');
    await page.getByLabel('The value').getByText('seen').waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('New value').fill('written');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByLabel('The value').getByText('written').waitFor();

    const kept = await page.evaluate('JSON.stringify(localStorage) + document.cookie');
    expect(kept).not.toContain(reader);
    expect(page.url()).not.toContain(reader);
    await page.reload();
    await page.getByLabel('The value').waitFor();
    const another = await browser.open(url);
    await another.page.getByLabel('Token', { exact: true }).waitFor();
    await another.page.close();

    await page.getByRole('button', { name: 'Sign out' }).click();
    await field.waitFor();
    await page.reload();
    await field.waitFor();
    expect(tab.troubles).toEqual([]);
    await page.close();
  });

  test('[console] who may see a part sees that part, and is told of the rest', async () => {
    const tab = await browser.open(`${url}/#/tree/default`);
    const { page } = tab;
    await page.getByLabel('Token', { exact: true }).fill(reader);
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'denied' }).first().waitFor();
    await page.keyboard.press('/');
    await page.getByRole('textbox', { name: 'Path' }).fill('/shop');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'signed', exact: true }).waitFor();
    await page.goto(`${url}/#/access`);
    await page.getByRole('alert').filter({ hasText: 'denied' }).waitFor();
    await page.goto(`${url}/#/locks/default/shop`);
    await page.getByText('Nobody holds a lock here.').waitFor();
    expect(tab.troubles).toEqual([]);
    await page.close();
  });

  test('[H6] root makes a token, shown once, and ends it: the session that has it is over', async () => {
    const tab = await browser.open(`${url}/#/access`);
    const { page } = tab;
    await page.getByLabel('Token', { exact: true }).fill(root);
    await page.keyboard.press('Enter');
    await page.getByRole('cell', { name: 'clerk', exact: true }).waitFor();
    expect(await tab.axe()).toEqual([]);
    await page.getByRole('textbox', { name: 'User' }).fill('temp');
    await page.getByRole('textbox', { name: 'Roles' }).fill('shop');
    await page.getByRole('button', { name: 'Make a token' }).click();
    const made = (await page.getByLabel('The token', { exact: true }).textContent()) ?? '';
    expect(made).toMatch(/^wmk_/);
    await page.getByRole('button', { name: 'I have it' }).click();
    expect(await page.locator('body').textContent()).not.toContain(made);

    const theirs = await browser.open(`${url}/#/locks/default/shop`);
    await theirs.page.getByLabel('Token', { exact: true }).fill(made);
    await theirs.page.keyboard.press('Enter');
    await theirs.page.getByText('Nobody holds a lock here.').waitFor();
    await page.getByRole('button', { name: / of temp$/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End it' }).click();
    await theirs.page.getByLabel('Token', { exact: true }).waitFor();
    expect(await theirs.page.evaluate('JSON.stringify(sessionStorage)')).not.toContain(made);
    expect([...tab.troubles, ...theirs.troubles]).toEqual([]);
  });
}
