import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { type Engine, isWaymarkError, openFileEngine } from 'waymark/engine';
import { SimulatedDisk } from 'waymark/testing';

const run = promisify(execFile);
const sizeBytes = 16 * 1_048_576;

interface SmallDisk {
  readonly open: () => Promise<Engine>;
  /** Takes away what is left but a little, and gives it back. */
  readonly fill: () => Promise<void>;
  readonly free: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** A file system of 16 MiB in memory, or where mounting is refused the simulated disk. */
async function smallDisk(): Promise<SmallDisk> {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-full-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', directory]);
  } catch (error) {
    await rm(directory, { recursive: true });
    console.log(`no tmpfs can be mounted, the simulated disk stands in: ${String(error)}`);
    return simulated();
  }
  const ballast = join(directory, 'ballast');
  return {
    open: () => openFileEngine(join(directory, 'data'), { snapshotLogBytes: 1_500_000 }),
    fill: async () =>
      void (await writeFile(ballast, Buffer.alloc(sizeBytes)).catch(() => undefined)),
    free: () => rm(ballast, { force: true }),
    remove: async () => {
      await run('umount', [directory]);
      await rm(directory, { recursive: true });
    },
  };
}

function simulated(): SmallDisk {
  const disk = new SimulatedDisk({ capacityBytes: sizeBytes });
  return {
    open: () => openFileEngine('simulated', { disk, snapshotLogBytes: 1_500_000 }),
    fill: async () => void (disk.capacityBytes = disk.usedBytes),
    free: async () => void (disk.capacityBytes = sizeBytes),
    remove: async () => undefined,
  };
}

test('[G15] a full disk, ten times: no false answer, reads go on, writes resume, a restart finds all', async () => {
  const disk = await smallDisk();
  let engine = await disk.open();
  try {
    const expected = new Map<string, string>();
    const codes = new Set<string>();
    for (let round = 0; round < 10; round++) {
      await disk.fill();
      await writeUntilRefused(engine, round, expected, codes);
      const { entries } = await engine.read({ key: '', end: '' });
      expect(entries.map(({ key }) => key)).toEqual([...expected.keys()].sort());
      await disk.free();
      await engine.commit({ apply: [{ type: 'put', key: 'resumed', value: `${round}` }] });
      expected.set('resumed', `${round}`);
      if (round % 2 === 0) continue;
      await engine[Symbol.asyncDispose]();
      engine = await disk.open();
    }
    const { entries } = await engine.read({ key: '', end: '' });
    expect(new Map(entries.map(({ key, value }) => [key, value]))).toEqual(
      new Map([...expected].sort()),
    );
    expect([...codes]).toEqual(['storage_full']);
  } finally {
    await engine[Symbol.asyncDispose]();
    await disk.remove();
  }
});

async function writeUntilRefused(
  engine: Engine,
  round: number,
  expected: Map<string, string>,
  codes: Set<string>,
): Promise<void> {
  let refused = 0;
  const writer = async (of: number): Promise<void> => {
    for (let i = 0; refused < 20 && i < 5_000; i++) {
      const key = `key/${of}/${i % 50}`;
      const value = `${round} ${i} ${'x'.repeat(1_000)}`;
      try {
        await engine.commit({ apply: [{ type: 'put', key, value }] });
        expected.set(key, value);
      } catch (error) {
        refused++;
        codes.add(isWaymarkError(error) ? error.code : String(error));
      }
    }
  };
  await Promise.all([0, 1, 2, 3].map(writer));
  expect(refused).toBeGreaterThan(0);
}
