import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, type TestContext } from 'vitest';
import { Command } from '../support/command.js';

const program = fileURLToPath(new URL('../dist/durability/stash-flusher.js', import.meta.url));

interface Told {
  readonly ended: string;
  readonly tookMs: number;
  readonly first: { readonly value: string } | null;
  readonly writable: boolean;
}

let directory: string;
beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-stash-flush-'))));
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A store whose flushes are interfered with once it has written `first`; null where nothing can be traced. */
async function interfered(how: string, { task }: TestContext): Promise<Flusher | null> {
  const child = new Command(process.execPath, [program, join(directory, 'data')], { input: null });
  const flusher = new Flusher(child);
  const { ready } = (await flusher.line()) as unknown as { ready: number };
  expect((await flusher.write('first')).ended).toBe('acknowledged');
  const trace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', how];
  const strace = new Command('strace', [...trace, '-p', String(ready)], { input: null });
  strace.child.on('error', () => undefined);
  const attached = await flusher.traced(ready, strace);
  if (attached) return flusher;
  await flusher.end();
  task.meta.notRun = 'flushes that fail: strace is not there, or may not trace';
  return null;
}

class Flusher {
  readonly #child: Command;
  #strace: Command | null = null;
  #lines = 0;

  constructor(child: Command) {
    this.#child = child;
  }

  async line(): Promise<Told> {
    while (this.#child.out.split('\n').length - 1 <= this.#lines) {
      await this.#child.grows(this.#child.out.length);
    }
    return JSON.parse(this.#child.out.split('\n')[this.#lines++] ?? '') as Told;
  }

  async write(key: string): Promise<Told> {
    this.#child.child.stdin?.write(`${key}\n`);
    return await this.line();
  }

  /** Waits until the kernel says that it is traced. */
  async traced(pid: number, strace: Command): Promise<boolean> {
    const { readFileSync } = await import('node:fs');
    this.#strace = strace;
    const ended = strace.done.then(() => true);
    for (;;) {
      if (!/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return true;
      const turn = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
      if (strace.child.pid === undefined || (await Promise.race([ended, turn]))) return false;
    }
  }

  async end(): Promise<void> {
    await this.#child.stop('SIGKILL');
    if (this.#strace?.child.pid !== undefined) await this.#strace.done;
  }
}

test('[D4.3] a write is acknowledged after its flush, however long that takes', async (context) => {
  const flusher = await interfered('inject=fdatasync:delay_enter=400000', context);
  if (flusher === null) return;
  const told = await flusher.write('second');
  expect(told.ended).toBe('acknowledged');
  expect(told.tookMs).toBeGreaterThan(390);
  await flusher.end();
});

for (const error of ['EIO', 'ENOSPC', 'EDQUOT']) {
  test(`[D4.4] a flush that fails with ${error}: nothing is acknowledged from then on, no flush is asked for again, reads go on`, async (context) => {
    // Once in each thread: who flushes again may be told that all is well.
    const flusher = await interfered(`inject=fdatasync:error=${error}:when=1`, context);
    if (flusher === null) return;
    expect(await flusher.write('second')).toMatchObject({ ended: 'uncertain', writable: false });
    for (const key of ['third', 'fourth', 'fifth']) {
      expect(await flusher.write(key)).toMatchObject({
        ...{ ended: 'unavailable', writable: false },
        first: { value: 'value of first' },
      });
    }
    await flusher.end();
  });
}
