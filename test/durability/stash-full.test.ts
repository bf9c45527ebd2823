import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  findingsOf,
  openStore,
  packEntries,
  packKeys,
  type StashStore,
} from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { isWaymarkError, pause, systemClock } from 'waymark/engine';

const run = promisify(execFile);
const sizeBytes = 24 * 1_048_576;
const keyCount = 400;

/** A file system in memory of 24 MiB; null where mounting is refused. */
async function smallDisk(): Promise<string | null> {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-stash-full-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', directory]);
    return directory;
  } catch {
    await rm(directory, { recursive: true });
    return null;
  }
}

test('[D4.4] a full disk, five times: no false answer, reads go on, writes resume by themselves, a restart finds all', async ({
  task,
}) => {
  const disk = await smallDisk();
  if (disk === null) {
    task.meta.notRun = 'a full disk: no tmpfs can be mounted';
    return;
  }
  const data = join(disk, 'data');
  const ballast = join(disk, 'ballast');
  const expected = new Map<string, number>();
  const refused = new Set<string>();
  let store = await openStore(data);
  try {
    for (let round = 0; round < 5; round++) {
      await writeFile(ballast, Buffer.alloc(sizeBytes)).catch(() => undefined);
      await writeUntilRefused(store, { round, expected, refused });
      expect(store.writable).toBe(false);
      expectAll(store, expected);
      await rm(ballast);
      await resumed(store, expected);
      expect(store.writable).toBe(true);
      if (round % 2 === 0) continue;
      await store[Symbol.asyncDispose]();
      store = await openStore(data);
      expectAll(store, expected);
    }
    expect([...refused]).toEqual(['storage_full']);
  } finally {
    await store[Symbol.asyncDispose]();
    await run('umount', [disk]);
    await rm(disk, { recursive: true });
  }
}, 120_000);

let stamp = 0;

function valueOf(key: string, of: number): string {
  return `${key} ${of} ${'x'.repeat(4_000)}`;
}

async function writeUntilRefused(
  store: StashStore,
  told: { round: number; expected: Map<string, number>; refused: Set<string> },
): Promise<void> {
  let refusals = 0;
  const writer = async (of: number): Promise<void> => {
    for (let i = 0; refusals < 20 && i < 20_000; i++) {
      const key = `key/${of}/${i % (keyCount / 4)}`;
      const own = ++stamp;
      try {
        await put(store, key, own);
        told.expected.set(key, own);
      } catch (error) {
        refusals++;
        told.refused.add(isWaymarkError(error) ? error.code : String(error));
      }
    }
  };
  await Promise.all([0, 1, 2, 3].map(writer));
  expect(refusals).toBeGreaterThan(0);
}

async function resumed(store: StashStore, expected: Map<string, number>): Promise<void> {
  for (;;) {
    const own = ++stamp;
    try {
      await put(store, 'resumed', own);
      expected.set('resumed', own);
      return;
    } catch (error) {
      if (!isWaymarkError(error, 'storage_full')) throw error;
      await pause(systemClock, error.facts.retryAfterMs ?? 100, undefined, true);
    }
  }
}

async function put(store: StashStore, key: string, own: number): Promise<void> {
  const entry = { key, stamp: own, writer: 1, expiresAt: 0, value: valueOf(key, own) };
  expect(await store.write('some', packEntries([entry]))).toBe(0);
}

function expectAll(store: StashStore, expected: ReadonlyMap<string, number>): void {
  const found = findingsOf(store.read('some', packKeys([...expected.keys()].slice(0, 250)), false));
  for (const [i, [key, own]] of [...expected].slice(0, found.length).entries()) {
    expect(found[i]).toMatchObject({ stamp: own, value: valueOf(key, own) });
  }
}
