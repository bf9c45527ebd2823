import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { launch } from '../support/browser.js';
import { Command, serve, waymark } from '../support/command.js';
import { orNotRun } from '../support/not-run.js';

const chromium = orNotRun('chromium', 'the stash in the console');

if (chromium !== null) {
  test('[console] the stash is shown with its nodes, and one that joins comes by itself', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waymark-console-'));
    const { command: server, url } = await serve([
      ...['--engine', 'memory', '--stash', join(folder, 'first')],
    ]);
    const put = await fetch(`${url}/v1/stash/sessions/a`, { method: 'PUT', body: 'x' });
    expect(put.status, await put.text()).toBe(200);
    await using browser = await launch();
    const { page, troubles } = await browser.open(`${url}/#/stash`);
    const rows = page.getByRole('region', { name: 'Storage nodes' }).getByRole('row');
    await rows.filter({ hasText: 'active' }).filter({ hasText: '100.0 %' }).waitFor();
    const second = ['stash', '--data', join(folder, 'second'), '--space', url];
    const node = new Command(process.execPath, [waymark, '--json', ...second]);
    await rows.nth(2).waitFor();
    await expect
      .poll(() => rows.filter({ hasText: 'active' }).count(), { timeout: 20_000 })
      .toBe(2);
    const shares = page.getByRole('list', { name: 'Shares of the data' }).getByRole('listitem');
    expect(await shares.count()).toBe(2);
    expect(troubles).toEqual([]);
    await node.stop();
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  test('[console] a move is shown with what is left of it, and is paused, goes on and is undone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waymark-console-'));
    const { command: server, url } = await serve([
      ...['--engine', 'memory', '--stash', join(folder, 'one')],
    ]);
    expect((await fetch(`${url}/v1/stash/sessions/a`, { method: 'PUT', body: 'x' })).ok).toBe(true);
    await using browser = await launch();
    const { page, troubles, axe } = await browser.open(`${url}/#/overview`);
    // A real one of so little data is over before anybody could look: the server's own status, with one that stands still.
    const of = {
      partitions: 64,
      of: 256,
      entries: 12_345,
      leftMs: 61_000,
      waitingFor: ['<b>n2'],
      blockedBy: [] as string[],
    };
    let move: object | null = { phase: 'copying', paused: false, ...of };
    const asked: string[] = [];
    await page.route('**/v1/stash/status', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...((await response.json()) as object), move } });
    });
    await page.route('**/v1/stash-move/*', async (route) => {
      const verb = route.request().url().split('/').at(-1) as string;
      asked.push(`${route.request().method()} ${verb}`);
      move = verb === 'cancel' ? null : { phase: 'copying', paused: verb === 'pause', ...of };
      await route.fulfill({ status: 200, json: {} });
    });
    await page.goto(`${url}/#/stash`);
    const card = page.getByRole('region', { name: 'Move' });
    await card.getByText('64 of 256 partitions, 12,345 entries, 61 s left').waitFor();
    expect(await card.textContent()).toContain('waits for <b>n2');
    expect(await card.getByRole('progressbar').getAttribute('value')).toBe('64');
    expect(await axe()).toEqual([]);
    await card.getByRole('button', { name: 'Pause' }).click();
    await card.getByText('paused').waitFor();
    await card.getByRole('button', { name: 'Go on' }).click();
    await card.getByText('copying').waitFor();
    of.blockedBy = ['n3', '<i>n4'];
    await card.getByRole('button', { name: 'Pause' }).click();
    await card.getByText('waymark stash remove n3 <i>n4 --accept-loss').waitFor();
    expect(await axe()).toEqual([]);
    await card.getByRole('button', { name: 'Undo' }).click();
    await card.waitFor({ state: 'detached' });
    expect(asked).toEqual(['POST pause', 'POST resume', 'POST pause', 'POST cancel']);
    expect(troubles).toEqual([]);
    await server.stop();
    rmSync(folder, { recursive: true });
  });
}
