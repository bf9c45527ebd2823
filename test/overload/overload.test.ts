import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { binaryFace, call, grpcFace, restFace } from './callers.js';

/** So many calls are under way at once; that is what the peak is measured with. */
const inFlight = 32;
const times = 5;
const forMs = sized(1_500, 10_000);
const mebibyte = 1_048_576;

async function resident({ child }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
}

test.each([
  ['REST', restFace],
  ['the binary protocol', binaryFace],
  ['gRPC', grpcFace],
])(
  '[limits] %s: five times as many callers as fit get at least 80 %% of the peak done',
  async (name, face) => {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-overload-'));
    const flags = ['--in-flight', String(inFlight)];
    await using server = await ServerProcess.start(`file:${directory}/data`, {}, flags);
    await using asked = await face(server.url);
    const { ask } = asked;
    await call(ask, inFlight, forMs);
    // By turns, and the best of each: what other processes take of the machine is not the server's.
    const peaks: number[] = [];
    const over: number[] = [];
    let refused = 0;
    const before = await resident(server);
    let most = before;
    for (let round = 0; round < 3; round++) {
      peaks.push((await call(ask, inFlight, forMs)).perSecond);
      const answered = await call(ask, times * inFlight, forMs);
      over.push(answered.perSecond);
      refused += answered.refused;
      most = Math.max(most, await resident(server));
    }
    const began = performance.now();
    const alone = await call(ask, 1, 500);
    const recoveredMs = performance.now() - began;
    const [peak, goodput] = [Math.max(...peaks), Math.max(...over)];
    const part = goodput / peak;
    console.log(
      `overload, ${name}: ${Math.round(peak)} writes a second with ${inFlight} callers, ${Math.round(goodput)} with ${times * inFlight} ` +
        `(${Math.round(part * 100)} %), ${refused} refused, ${Math.round((most - before) / mebibyte)} MiB more; alone after it ${alone.median.toFixed(1)} ms`,
    );
    await rm(directory, { recursive: true });
    expect(part).toBeGreaterThanOrEqual(0.8);
    expect(most - before).toBeLessThanOrEqual(128 * mebibyte);
    expect(recoveredMs).toBeLessThanOrEqual(5_000);
    expect(alone.refused).toBe(0);
  },
);
