import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createDataDirectory, openFileEngine } from 'waymark/engine';

/** Takes a snapshot of many keys while writes go on, and tells how long the loop stood still and how memory grew. */
const [directory = '', count = '300000'] = process.argv.slice(2);
const keys = Number(count);
const value = 'x'.repeat(100);

function* entries() {
  for (let i = 0; i < keys; i++) {
    const revision = i + 1;
    yield {
      key: `d/some/path/of/forty/bytes/${i}`,
      value: `${i} ${value}`,
      createRevision: revision,
      modRevision: revision,
      version: 1,
    };
  }
}
await createDataDirectory(directory, { entries: entries(), revision: keys });

let told: (line: string) => void;
const taken = new Promise<string>((resolve) => (told = resolve));
const { size } = await stat(join(directory, 'snapshot-0000000001'));
const engine = await openFileEngine(directory, {
  snapshotLogBytes: 1,
  told: (line) => {
    if (line.startsWith('snapshot-')) told(line);
  },
});

let snapshot: string | null = null;
void taken.then((line) => (snapshot = line));
/** The log must pass twice the snapshot. */
let logged = 0;
const large = 'y'.repeat(100_000);
while (logged < 2 * size - 1_000_000) {
  await engine.commit({ apply: [{ type: 'put', key: 'large', value: large }] });
  logged += large.length;
  if (logged % 50_000_000 < large.length) await engine.compact((await engine.status()).revision);
}
await engine.compact((await engine.status()).revision);
global.gc?.();
const before = process.memoryUsage();
let peak = before.rss;
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
let writes = 0;
let slowestMs = 0;
const writer = async (): Promise<void> => {
  while (snapshot === null) {
    const start = performance.now();
    const i = (writes++ * 7_919) % keys;
    await engine.commit({
      apply: [{ type: 'put', key: `d/some/path/of/forty/bytes/${i}`, value }],
    });
    slowestMs = Math.max(slowestMs, performance.now() - start);
    if (writes % 100 === 0) peak = Math.max(peak, process.memoryUsage().rss);
    if (writes % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
};
await Promise.all(Array.from({ length: 4 }, writer));
delay.disable();
await engine[Symbol.asyncDispose]();
console.log(
  JSON.stringify({
    keys,
    snapshot,
    writes,
    blockedMsMax: delay.max / 1e6,
    blockedMsP99: delay.percentile(99) / 1e6,
    slowestWriteMs: slowestMs,
    rssMiB: Math.round(before.rss / 1_048_576),
    grownMiB: Math.round((peak - before.rss) / 1_048_576),
  }),
);
