import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch } from '../support/browser.js';
import { orNotRun } from '../support/not-run.js';
import { run, url } from '../support/served.js';

const chromium = orNotRun('chromium', 'the console in a browser');

/** What stands before the server: whatever is data needs this token, in the header where programs send it. */
let token = 'first-token';
let gate: Server;
let base: string;

beforeAll(async () => {
  gate = createServer((asked, answer) => {
    const data = /^\/(v1|metrics|readyz)/.test(asked.url ?? '');
    if (data && asked.headers.authorization !== `Bearer ${token}`) {
      const problem = { status: 401, code: 'unauthenticated', detail: 'a token is needed' };
      answer.writeHead(401, { 'content-type': 'application/problem+json' });
      answer.end(JSON.stringify(problem));
      return;
    }
    const { method, headers } = asked;
    const onward = request(url + (asked.url ?? ''), { method, headers }, (told) => {
      answer.writeHead(told.statusCode ?? 502, told.headers);
      told.pipe(answer);
    });
    answer.once('close', () => onward.destroy());
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  });
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(gate.address() as AddressInfo).port}`;
});
afterAll(() => {
  gate.close();
  gate.closeAllConnections();
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
    const tab = await browser.open(`${base}/#/tree/default/signed`);
    const { page } = tab;
    const field = page.getByLabel('Token');
    await field.waitFor();
    expect(await tab.axe()).toEqual([]);
    await field.fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('a token is needed').waitFor();
    await field.fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('live', { exact: true }).waitFor();
    await run('put', '/signed', 'seen');
    await page.getByLabel('The value').getByText('seen').waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('New value').fill('written');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByLabel('The value').getByText('written').waitFor();

    expect(await page.evaluate('JSON.stringify(localStorage) + document.cookie')).not.toContain(
      token,
    );
    expect(page.url()).not.toContain(token);
    await page.reload();
    await page.getByLabel('The value').waitFor();
    const another = await browser.open(base);
    await another.page.getByLabel('Token').waitFor();
    await another.page.close();

    await page.getByRole('button', { name: 'Sign out' }).click();
    await field.waitFor();
    await page.reload();
    await field.waitFor();
    expect(tab.troubles).toEqual([]);
    await page.close();
  });

  test('[H6] a token that is taken back ends the session where it is', async () => {
    const { page } = await browser.open(`${base}/#/locks/default`);
    await page.getByLabel('Token').fill(token);
    await page.keyboard.press('Enter');
    await page.getByText('Nobody holds a lock here.').waitFor();
    token = 'second-token';
    await page.getByLabel('Token').waitFor();
    expect(await page.evaluate('JSON.stringify(sessionStorage)')).not.toContain('first-token');
    await page.close();
  });
}
