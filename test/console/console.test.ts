import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, launch, type Tab } from '../support/browser.js';
import { runWaymark } from '../support/command.js';
import { orNotRun } from '../support/not-run.js';
import { run, url } from '../support/served.js';

const chromium = orNotRun('chromium', 'the console in a browser');

if (chromium !== null) {
  let browser: Browser;
  let tab: Tab;

  beforeAll(async () => {
    browser = await launch();
    tab = await browser.open(url);
  });
  afterAll(async () => {
    // Whatever was done, nothing broke the page's policy, failed in a script or left the server.
    expect(tab.troubles).toEqual([]);
    await browser[Symbol.asyncDispose]();
  });

  test('[console] the tree is browsed, and a change arrives by itself', async () => {
    const { page } = tab;
    await run('put', '/orders/42/status', 'queued');
    await page.goto(`${url}/#/tree/default`);
    for (const name of ['orders', '42', 'status'])
      await page.getByRole('link', { name, exact: true }).click();
    await page.getByLabel('The value').getByText('queued').waitFor();
    await page.getByText('live', { exact: true }).waitFor();
    await run('put', '/orders/42/status', 'shipped');
    await page.getByLabel('The value').getByText('shipped').waitFor();
    await page.getByText('History: 1 before this one').click();
    await page.getByRole('region', { name: 'Earlier values' }).getByText('queued').waitFor();
    await page.goto(`${url}/#/tree/default/orders`);
    await page.getByText('live', { exact: true }).waitFor();
    await run('put', '/orders/43', 'new');
    await page.getByRole('link', { name: '43', exact: true }).waitFor();
    await run('del', '/orders/43');
    await page.getByRole('cell', { name: 'delete' }).waitFor();
    await page.getByRole('link', { name: '43', exact: true }).waitFor({ state: 'detached' });
  });

  test('[H5] an edit over something newer shows what stands, and a person chooses', async () => {
    const { page } = tab;
    await run('put', '/edited', 'first');
    await page.goto(`${url}/#/tree/default/edited`);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('New value').fill('mine');
    await run('put', '/edited', 'theirs');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByLabel('What stands now').getByText('theirs').waitFor();
    expect((await run('get', '/edited')).out).toContain('theirs');

    // What was seen is gone again: it is asked once more.
    await run('put', '/edited', 'newer still');
    await page.getByRole('button', { name: /^Write mine over revision/ }).click();
    await page.getByLabel('What stands now').getByText('newer still').waitFor();
    await page.getByRole('button', { name: /^Write mine over revision/ }).click();
    await page.getByLabel('The value').getByText('mine').waitFor();
    expect((await run('get', '/edited')).out).toContain('mine');

    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('New value').fill('not this');
    await run('del', '/edited');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Nothing: it was deleted.').waitFor();
    await page.getByRole('button', { name: 'Keep what stands' }).click();
    await page.getByText('No value stands here.').waitFor();
    expect((await run('get', '/edited')).code).not.toBe(0);
  });

  test('[H5] a value is written where there was none, and deleted after a question', async () => {
    const { page } = tab;
    await page.goto(`${url}/#/tree/default/fresh`);
    await page.getByRole('button', { name: 'Write one' }).click();
    await page.getByLabel('New value').fill('{ "a": 1 }');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByLabel('The value').getByText('{ "a": 1 }').waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect((await run('get', '/fresh')).code).toBe(0);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No value stands here.').waitFor();
    expect((await run('get', '/fresh')).code).not.toBe(0);
  });

  test('[console] a lock that the command takes is seen with who waits, and goes when it is released', async () => {
    const { page } = tab;
    await page.goto(`${url}/#/locks/default`);
    await page.getByText('Nobody holds a lock here.').waitFor();
    const lock = ['lock', '/deploy', '--', 'sh', '-c', 'echo in; cat'];
    const holder = runWaymark(url, lock, null);
    await holder.says('in');
    const row = page.getByRole('region', { name: 'Locks in this namespace' }).getByRole('row');
    await row.filter({ hasText: '/deploy' }).filter({ hasText: 'token' }).waitFor();
    const waiter = runWaymark(url, lock, null);
    await row.filter({ hasText: 'since revision' }).waitFor();
    await page.getByRole('link', { name: '/deploy' }).click();
    await page
      .getByText(/holds the exclusive lock on \/deploy since revision \d+; 1 waits/)
      .waitFor();
    await page.getByRole('cell', { name: 'waits' }).waitFor();
    holder.child.stdin?.end();
    await waiter.says('in');
    waiter.child.stdin?.end();
    expect([(await holder.done).code, (await waiter.done).code]).toEqual([0, 0]);
    await page.getByText('Nobody holds a lock here.').waitFor();
  });

  test('[console] a lock is taken away with a reason, and its holder is told', async () => {
    const { page } = tab;
    const holder = runWaymark(url, ['lock', '/stuck', '--', 'sh', '-c', 'echo in; cat'], null);
    await holder.says('in');
    await page.goto(`${url}/#/locks/default/stuck`);
    await page.getByRole('button', { name: 'Force unlock' }).click();
    await page.getByLabel('Reason').fill('it hangs');
    await page.getByRole('dialog').getByRole('button', { name: 'Force unlock' }).click();
    const { code, err } = await holder.done;
    expect(code).not.toBe(0);
    expect(err).toContain('it hangs');
  });

  test('[console] the overview tells how the server is, and draws what it does', async () => {
    const { page } = tab;
    await page.goto(`${url}/#/overview`);
    await page.getByText('ready', { exact: true }).waitFor();
    await page.getByRole('cell', { name: 'engine' }).first().waitFor();
    const drawn = page.getByRole('img', { name: /writes a second: (0\.\d|[1-9])/ });
    while (!(await drawn.isVisible())) await run('put', '/busy', 'x');
    expect(await page.locator('canvas').count()).toBe(3);
  });

  test('[console] a watcher is paused, resumed and replayed', async () => {
    const { page } = tab;
    const hook = 'https://receiver.invalid/hook';
    expect((await run('watcher', 'add', '/never/*', hook)).code).toBe(0);
    await page.goto(`${url}/#/watchers`);
    await page.getByRole('button', { name: 'Pause /never/*' }).click();
    await page.getByRole('cell', { name: 'paused' }).waitFor();
    expect((await run('--json', 'watcher', 'ls')).out).toContain('"paused"');
    await page.getByRole('button', { name: 'Replay /never/*' }).click();
    await page.getByRole('button', { name: 'From the beginning' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Resume /never/*' }).click();
    await page.getByRole('cell', { name: 'active' }).waitFor();
    expect((await run('--json', 'watcher', 'ls')).out).toContain('"active"');
  });

  test('[H7] by keyboard alone: to the contents, to a path, up again, to another view', async () => {
    const { page } = tab;
    await run('put', '/deep/er', 'v');
    await page.goto(`${url}/#/overview`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.keyboard.press('2');
    await page.getByRole('heading', { name: 'Tree' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('/deep/er');
    await page.keyboard.press('Enter');
    await page.getByLabel('The value').waitFor();
    await page.locator('main').focus();
    await page.keyboard.press('u');
    await page.getByRole('link', { name: 'er', exact: true }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Tree' }).waitFor();
    await page.getByRole('link', { name: 'To the contents' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    expect(new URL(page.url()).hash).toContain('tree');
  });
}
