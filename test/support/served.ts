import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type Command, type Finished, runWaymark, serve } from './command.js';

/** A server in memory and an empty folder, for the tests of the one file that imports this. */

export const folder = mkdtempSync(join(tmpdir(), 'waymark-test-'));
export let url: string;
let server: Command;

beforeAll(async () => {
  ({ command: server, url } = await serve(['--engine', 'memory']));
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Runs the command against that server to its end. */
export const run = (...args: string[]): Promise<Finished> => runWaymark(url, args).done;
