// A process that names its metrics by a claimed mountain, so that restarts do not fill the metrics store with names that nobody uses.
//
//   node examples/dist/metrics-names.js http://127.0.0.1:7420 worker-1       (as many as you like)
//
// A worker that is started again under its name has its mountain again, also when it was killed.
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'waymark';

const [, , url = 'http://127.0.0.1:7420', worker = `worker-${process.pid}`] = process.argv;
const everyMs = Number(process.env['EVERY_MS'] ?? 1_000);
const space = await open(url, { owner: worker });
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

const name = await space.namespace('metrics').names('/workers').claim(worker, {
  ttlMs: 5_000,
  graceMs: 60_000,
  wait: true,
  signal: stop.signal,
});
const working = AbortSignal.any([name.signal, stop.signal]);
console.log(`ready as ${name.name}`);
for (let requests = 0; !working.aborted; requests++) {
  console.log(`metrics.${name.name}.requests ${requests}`);
  await sleep(everyMs, undefined, { signal: working }).catch(() => undefined);
}
// Lost: another process may write under this name from now on.
if (name.reason !== undefined) console.error(name.reason.message);
await space.close();
