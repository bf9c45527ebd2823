import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Command, waymark } from '../support/command.js';

/** `npm start` after its build: a first server, by its defaults but for the port, in a folder with nothing in it. */
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-first-'));
});

afterAll(() => rm(folder, { recursive: true }));

function serve(): Command {
  const args = [waymark, 'serve', '--listen', '127.0.0.1:0'];
  return new Command(process.execPath, args, { cwd: folder });
}

/** The lines to try, once they are told. */
async function linesOf(server: Command): Promise<readonly string[]> {
  const told = await server.says('?tree');
  return told.split('\n').flatMap((line) => (line.startsWith('  curl ') ? [line.trim()] : []));
}

const shell = (line: string): Command => new Command('sh', ['-c', `exec ${line}`]);

test('a first server prints three lines to try; each does what it says, and what was put is there after a restart', async () => {
  const since = performance.now();
  const first = serve();
  const [put = '', get = '', watch = '', ...more] = await linesOf(first);
  expect(more).toEqual([]);
  expect(performance.now() - since).toBeLessThan(10_000);

  const watching = shell(watch);
  expect((await shell(put).done).code).toBe(0);
  expect((await shell(get).done).out).toBe('hello');
  await watching.says('/greeting');
  first.child.kill('SIGTERM');
  expect((await first.done).code).toBe(0);
  expect((await watching.done).code).toBe(0);
  expect(existsSync(join(folder, 'waymark-data'))).toBe(true);

  const again = serve();
  const [, read = ''] = await linesOf(again);
  expect((await shell(read).done).out).toBe('hello');
  again.child.kill('SIGTERM');
  expect((await again.done).code).toBe(0);
});
