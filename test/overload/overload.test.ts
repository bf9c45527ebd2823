import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { type Answered, binaryFace, call, grpcFace, restFace } from './callers.js';

/** So many calls are under way at once; that is what the peak is measured with. */
const inFlight = 32;
const times = 5;
const forMs = sized(1_500, 10_000);
const mebibyte = 1_048_576;

async function resident({ child }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
}

interface Done extends Answered {
  /** Of the server's process. */
  readonly perCpuSecond: number;
}

/** Of the server, so far: seconds. */
async function cpuOf({ child }: ServerProcess): Promise<number> {
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) / 100;
}

async function done(server: ServerProcess, work: () => Promise<Answered>): Promise<Done> {
  const [began, from] = [performance.now(), await cpuOf(server)];
  const answered = await work();
  const seconds = (performance.now() - began) / 1_000;
  const perCpuSecond = (answered.perSecond * seconds) / ((await cpuOf(server)) - from);
  return { ...answered, perCpuSecond };
}

test.each([
  { name: 'REST', face: restFace },
  { name: 'the binary protocol', face: binaryFace },
  { name: 'gRPC', face: grpcFace },
])(
  '[limits] $name: of five times the callers that fit four in five of the peak are served',
  async ({ name, face }) => {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-overload-'));
    // History that fills up meanwhile is bounded by itself, and is nothing that too many callers cost.
    const history = ['--history-revisions', '1000', '--history-bytes', '131072'];
    const flags = ['--in-flight', String(inFlight), ...history];
    await using server = await ServerProcess.start(`file:${directory}/data`, {}, flags);
    await using asked = await face(server.url);
    const { ask } = asked;
    await call(ask, inFlight, forMs);
    const peaks: Done[] = [];
    const over: Done[] = [];
    const before = await resident(server);
    let most = before;
    for (let round = 0; round < 3; round++) {
      peaks.push(await done(server, () => call(ask, inFlight, forMs)));
      over.push(await done(server, () => call(ask, times * inFlight, forMs)));
      most = Math.max(most, await resident(server));
    }
    const began = performance.now();
    const alone = await call(ask, 1, 500);
    const recoveredMs = performance.now() - began;
    const best = (of: 'perSecond' | 'perCpuSecond', all: readonly Done[]): number =>
      Math.max(...all.map((one) => one[of]));
    const [peak, goodput] = [best('perSecond', peaks), best('perSecond', over)];
    const part = best('perCpuSecond', over) / best('perCpuSecond', peaks);
    const refused = over.reduce((sum, one) => sum + one.refused, 0);
    console.log(
      `overload, ${name}: ${Math.round(peak)} writes a second with ${inFlight} callers, ${Math.round(goodput)} with ${times * inFlight}, ` +
        `${Math.round(part * 100)} % in the same time of the processor; ${refused} refused, ` +
        `${Math.round((most - before) / mebibyte)} MiB more; alone after it ${alone.median.toFixed(1)} ms`,
    );
    await rm(directory, { recursive: true });
    expect(part).toBeGreaterThanOrEqual(0.8);
    // What other processes take of the machine is not the server's: by the clock it is judged where there are none.
    if (sized(false, true)) expect(goodput / peak).toBeGreaterThanOrEqual(0.8);
    expect(most - before).toBeLessThanOrEqual(128 * mebibyte);
    expect(recoveredMs).toBeLessThanOrEqual(5_000);
    expect(alone.refused).toBe(0);
  },
);
