import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openStore, packEntries } from '@waymark/server/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedOf } from './seeded-random.js';

const flips = 1_000;
const keyCount = 600;
const seed = seedOf(20_261_124);
const program = fileURLToPath(new URL('../dist/durability/stash-reader.js', import.meta.url));
const silenceMs = 20_000;

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-stash-flips-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Seen {
  readonly flip: number;
  readonly right?: number;
  readonly damaged?: number;
  readonly missing?: number;
  readonly wrong?: number;
  readonly refused?: string;
}

/** Reads with one flip after the other; where the process dies, another goes on behind that flip. */
async function readAll(data: string): Promise<{ seen: Seen[]; died: number[] }> {
  const seen: Seen[] = [];
  const died: number[] = [];
  for (let next = 0; next < flips;) {
    const args = [program, data, ...[seed, next, flips, keyCount].map(String)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const hung = (): void => void child.kill('SIGKILL');
    let alarm = setTimeout(hung, silenceMs);
    const lines = createInterface({ input: child.stdout });
    let begun = next - 1;
    lines.on('line', (line) => {
      clearTimeout(alarm);
      alarm = setTimeout(hung, silenceMs);
      const told = JSON.parse(line) as Seen;
      begun = told.flip;
      if (told.right !== undefined) seen.push(told);
    });
    const [[code]] = await Promise.all([once(child, 'exit'), once(lines, 'close')]);
    clearTimeout(alarm);
    if (code === 0) break;
    died.push(begun);
    next = begun + 1;
  }
  return { seen, died };
}

test(`[D4.2] ${flips} bits turned in a node's file: no wrong value is served`, async () => {
  const data = join(directory, 'data');
  const store = await openStore(data);
  for (let from = 0; from < keyCount; from += 200) {
    const part = Array.from({ length: 200 }, (_, n) => {
      const key = `key/${from + n}`;
      const value = `${key} ${'x'.repeat(((from + n) * 37) % 400)}`;
      return { key, stamp: 1_000, writer: 1, expiresAt: 0, value };
    });
    await store.write('some', packEntries(part));
  }
  await store[Symbol.asyncDispose]();
  const { seen, died } = await readAll(data);
  const sum = (name: 'right' | 'damaged' | 'missing' | 'wrong'): number =>
    seen.reduce((total, one) => total + (one[name] ?? 0), 0);
  const refused = seen.filter((one) => one.refused !== undefined).length;
  console.log(
    `${flips} flips, seed ${seed}: wrong ${sum('wrong')}, damaged ${sum('damaged')}, not found ${sum('missing')}, ` +
      `not opened ${refused}, ended the process ${died.length}`,
  );
  expect(seen.length + died.length).toBe(flips);
  expect(sum('wrong')).toBe(0);
  expect(sum('damaged')).toBeGreaterThan(flips / 10);
  // A bit in LMDB's own pages may end the process; the records' own never do.
  expect(died.length).toBeLessThan(flips / 20);
}, 900_000);
