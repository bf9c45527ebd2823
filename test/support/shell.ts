import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type Command, type Finished, runWaymark, serve } from './command.js';

/** What the tests of a command share: a server, a folder, and `waymark` run against the one in the other. */
export interface Shell {
  /** Removed at the end. */
  readonly folder: string;
  /** Of the server; known once the tests begin. */
  readonly url: string;
  /** Runs `waymark ARGS` to its end. */
  run(...args: string[]): Promise<Finished>;
  /** Begins it; without an `input` of its own its input is empty, null leaves it open. */
  begin(args: readonly string[], input?: string | null): Command;
}

/** Starts it for all tests of this file. */
export function shell(): Shell {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-shell-'));
  let server: Command;
  let url = '';
  beforeAll(async () => {
    ({ command: server, url } = await serve(['--engine', 'memory']));
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    get url() {
      return url;
    },
    run: async (...args) => await runWaymark(url, args).done,
    begin: (args, input) => runWaymark(url, args, input),
  };
}

/** A command that says `started`, then notes each step with the time until it is killed; it ignores TERM. */
export function stubborn(file: string): string[] {
  const step = `date +%s%3N > ${file}.new; mv ${file}.new ${file}; sleep 0.02`;
  return ['sh', '-c', `trap '' TERM; echo started; for i in $(seq 500); do ${step}; done`];
}

/** When it made its last step, ms since 1970. */
export function lastStep(file: string): number {
  return Number(readFileSync(file, 'utf8'));
}
