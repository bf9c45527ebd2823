import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codecs, open, type Space } from 'waymark';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch } from '../support/browser.js';
import { orNotRun } from '../support/not-run.js';
import { url } from '../support/served.js';

/**
 * The pictures that stand in README and guide. They are taken each time, and written with `WAYMARK_PICTURES=1` alone, so that a run of the tests
 * leaves the tree as it was.
 */
const written = process.env['WAYMARK_PICTURES'] === '1';
const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const chromium = orNotRun('chromium', 'pictures of the console');

if (chromium !== null) {
  let browser: Browser;
  const spaces: Space[] = [];

  beforeAll(async () => {
    browser = await launch();
    await paint(spaces);
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    for (const space of spaces) await space.close();
  });

  test.each([
    { name: 'tree', address: 'tree/default/orders/42', size: [1_100, 720], scheme: 'light' },
    { name: 'locks', address: 'locks/default/orders/42', size: [1_100, 620], scheme: 'dark' },
    { name: 'phone', address: 'members/default', size: [375, 620], scheme: 'light' },
  ] as const)('[console] a picture of $name', async ({ name, address, size, scheme }) => {
    const { page, troubles } = await browser.open(url);
    const [width, height] = size;
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(`${url}/#/${address}`);
    if (name === 'tree') {
      await page.getByText('live', { exact: true }).waitFor();
      const ns = spaces[0]?.namespace('default', { codec: codecs.text });
      await ns?.put('/orders/42/status', 'shipped');
      await page.getByRole('cell', { name: 'shipped' }).waitFor();
      await page.getByText(/^History/).click();
    }
    await page.getByRole('table').first().waitFor();
    const picture = await page.screenshot({ animations: 'disabled' });
    expect(picture.length).toBeGreaterThan(5_000);
    if (written) writeFileSync(`${docs}console-${name}.png`, picture);
    expect(troubles).toEqual([]);
    await page.close();
  });
}

/** What a small shop would have there. */
async function paint(spaces: Space[]): Promise<void> {
  const owners = ['worker-1', 'worker-2', 'deploy'];
  for (const owner of owners) spaces.push(await open(url, { owner }));
  const [one, two, three] = spaces.map((space) =>
    space.namespace('default', { codec: codecs.text }),
  );
  await one?.put('/orders/42', '{ "state": "queued", "items": 2 }');
  await one?.put('/orders/42', '{ "state": "packed", "items": 2 }');
  for (const path of ['/orders/42/status', '/orders/42/address', '/orders/43'])
    await one?.put(path, 'packed');
  await one?.lock('/orders/42');
  void two?.lock('/orders/42').catch(() => undefined);
  await three?.lock('/config', { tree: true });
  await one?.members('/workers').join({ id: 'w1', address: '10.0.0.1:80', meta: { zone: 'a' } });
  await two?.members('/workers').join({ id: 'w2', address: '10.0.0.2:80', meta: { zone: 'b' } });
}
