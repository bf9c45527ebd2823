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
}
