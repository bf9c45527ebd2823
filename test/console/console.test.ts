import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch, type Tab } from '../support/browser.js';
import { orNotRun } from '../support/not-run.js';
import { run, url } from '../support/served.js';

const chromium = orNotRun('chromium', 'the console in a browser');

if (chromium !== null) {
  let browser: Browser;
  let tab: Tab;

  beforeAll(async () => {
    browser = await launch(chromium.path);
    tab = await browser.open(url);
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
  });

  test('[console] the tree is browsed, and a change arrives by itself', async () => {
    const { page } = tab;
    await run('put', '/orders/42/status', 'queued');
    await page.goto(`${url}/#/tree/default`);
    await page.getByRole('link', { name: 'orders', exact: true }).click();
    await page.getByRole('link', { name: '42', exact: true }).click();
    await page.getByRole('link', { name: 'status', exact: true }).click();
    await page.getByLabel('The value').getByText('queued').waitFor();
    await page.getByText('live', { exact: true }).waitFor();
    await run('put', '/orders/42/status', 'shipped');
    await page.getByLabel('The value').getByText('shipped').waitFor();
    expect(tab.troubles).toEqual([]);
    expect(await tab.axe()).toEqual([]);
  });
}
