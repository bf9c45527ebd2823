import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { FaultProxy } from '../faults/proxy.js';
import { type Command, type Finished, runWaymark } from '../support/command.js';
import { folder, run, url } from '../support/served.js';

const file = join(folder, 'nightly');
const older = 'an older backup';

/** What `waymark backup` says, against an older one of the same name; that, and nothing else, must be there afterwards. */
async function refused(backup: Command): Promise<Finished> {
  const told = await backup.done;
  expect(told.out).toBe('');
  expect(await readFile(file, 'utf8')).toBe(older);
  expect(await readdir(folder)).toEqual(['nightly']);
  return told;
}

/** A server that begins a backup and goes on as told, at an address of its own. */
async function beginning(
  goesOn: 'never' | 'ends',
  use: (server: string, begun: Promise<unknown>) => Promise<void>,
): Promise<void> {
  let begin: (() => void) | undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const server = createServer((_request, response) => {
    response.write(`${JSON.stringify({ waymark: 'backup', format: 1, revision: 7 })}\n`, () => {
      if (goesOn === 'ends') response.end();
      begin?.();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, begun);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('[cli] backup: a connection that breaks in the middle is unavailable, and leaves the older file', async () => {
  for (let n = 0; n < 4; n++) await run('put', `/large/${n}`, 'x'.repeat(100_000));
  await writeFile(file, older);
  await using proxy = await FaultProxy.open(url);
  proxy.set({ cutAfterBytes: 200_000 });
  const { code, err } = await refused(runWaymark(proxy.url, ['backup', file]));
  expect(code).toBe(errorTable.unavailable.exit);
  expect(err).toContain('broke in the middle of the backup');
});

test('[cli] backup: what ends before its end is unavailable, however properly', async () => {
  await writeFile(file, older);
  await beginning('ends', async (server) => {
    const { code, err } = await refused(runWaymark(server, ['backup', file]));
    expect(code).toBe(errorTable.unavailable.exit);
    expect(err).toContain('no whole backup');
  });
});

test('[cli] backup: --timeout is for all of it, and not for its beginning alone', async () => {
  await writeFile(file, older);
  await beginning('never', async (server) => {
    const { code, err } = await refused(runWaymark(server, ['backup', file, '--timeout', '2s']));
    expect(code).toBe(errorTable.timeout.exit);
    expect(err).toContain('--timeout');
  });
});

test('[cli] backup: interrupted it takes what it began away', async () => {
  await writeFile(file, older);
  await beginning('never', async (server, begun) => {
    const backup = runWaymark(server, ['backup', file]);
    await begun;
    backup.child.kill('SIGINT');
    expect((await refused(backup)).code).toBe(130);
  });
});

test('[cli] backup: one that is whole takes the place of the older one, and of what a killed one left', async () => {
  await writeFile(file, older);
  await writeFile(`${file}.tmp`, 'x'.repeat(1_000_000));
  expect(await run('backup', file)).toMatchObject({ code: 0, err: '' });
  expect(await readdir(folder)).toEqual(['nightly']);
  expect((await run('restore', file, '--data', join(folder, 'restored'))).code).toBe(0);
});

test('[cli] backup: a folder that is not there is told', async () => {
  const nowhere = join(folder, 'nowhere', 'nightly');
  const { code, err } = await run('backup', nowhere);
  expect(code).not.toBe(0);
  expect(err).toContain(nowhere);
});
