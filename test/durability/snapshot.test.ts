import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const keys = process.env['WAYMARK_LONG'] === '1' ? 1_000_000 : 300_000;
const program = fileURLToPath(
  new URL('../dist/durability/snapshot-under-load.js', import.meta.url),
);

interface Report {
  readonly blockedMsP99: number;
  readonly rssMiB: number;
  readonly grownMiB: number;
  readonly writes: number;
}

test(`[G20] a snapshot of ${keys} keys: writes go on, the loop stays free, memory does not double`, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-snapshot-'));
  try {
    const args = ['--expose-gc', program, directory, String(keys)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 300_000 });
    console.log(stdout.trim());
    const report = JSON.parse(stdout) as Report;
    expect(report.writes).toBeGreaterThan(100);
    expect(report.blockedMsP99).toBeLessThan(50);
    expect(report.grownMiB).toBeLessThan(Math.max(64, report.rssMiB / 4));
  } finally {
    await rm(directory, { recursive: true });
  }
}, 300_000);
