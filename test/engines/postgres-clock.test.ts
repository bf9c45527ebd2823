import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, openEngine } from 'waymark/engine';
import { service } from '#services';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

const ttlMs = 1_000;
/** K10: at most a second after its time; and what two shared cores add. */
const lateMsMax = 1_000 + 500;

let folder: string;
let server: RunningPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-clock-'));
  await chmod(folder, 0o755);
  await moveClock(0);
  server = await startPostgres({
    env: {
      LD_PRELOAD: service('libfaketime').path,
      FAKETIME_TIMESTAMP_FILE: join(folder, 'time'),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
  });
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

/** The wall clock of the database's processes. */
async function moveClock(hours: number): Promise<void> {
  await writeFile(join(folder, 'time'), `${hours < 0 ? '-' : '+'}${Math.abs(hours) * 3_600}\n`);
}

/** @returns how far the database's wall clock is from ours, hours */
async function hoursAhead(): Promise<number> {
  const client = new pg.Client(server.url);
  await client.connect();
  const text = 'select extract(epoch from clock_timestamp()) * 1000 as now';
  const { rows } = await client.query<{ now: string }>(text);
  await client.end();
  // Plus 0, so that it is never the other zero.
  return Math.round((Number(rows[0]?.now) - Date.now()) / 3_600_000) + 0;
}

/** @returns when the key vanished, by the monotonic clock */
async function endOf(engine: Engine, key: string, after: number): Promise<number> {
  for await (const { changes } of engine.watch([{ key }], { after })) {
    if (changes.some(({ kind }) => kind === 'expire')) return performance.now();
  }
  return NaN;
}

test('[K10] with the wall clock of the database an hour ahead and behind no lease ends early, and none lives on', async () => {
  await using engine = await openEngine(`${server.url}?schema=clock`);
  for (const hours of [1, -1, 0, -1, 1]) {
    const sentAt = performance.now();
    const lease = await engine.grant(ttlMs);
    const kept = await engine.grant(ttlMs);
    const { revision } = await engine.commit({
      apply: [
        { type: 'put', key: 'left', value: '', lease: lease.id },
        { type: 'put', key: 'kept', value: '', lease: kept.id },
      ],
    });
    const ended = endOf(engine, 'left', revision);
    await moveClock(hours);
    expect(await hoursAhead()).toBe(hours);
    const renewing = new AbortController();
    const renewals = (async () => {
      while (!renewing.signal.aborted) {
        await engine.renew(kept.id);
        await sleep(ttlMs / 4);
      }
    })();
    const livedMs = (await ended) - sentAt;
    expect(livedMs, `at ${hours} h`).toBeGreaterThanOrEqual(ttlMs);
    expect(livedMs, `at ${hours} h`).toBeLessThanOrEqual(ttlMs + lateMsMax);
    expect((await engine.read({ key: 'kept' })).count).toBe(1);
    renewing.abort();
    await renewals;
    await engine.revoke(kept.id);
  }
});

test('[K10] when the process that ends leases is killed another does so, and gives each its time again', async () => {
  const url = `${server.url}?schema=reaped`;
  // A thread that is ended does nothing more, as a process that is killed; it opened the schema first, and so ends its leases.
  const script = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.library).then(async ({ openEngine }) => {
      const engine = await openEngine(workerData.url);
      const lease = await engine.grant(${ttlMs * 3});
      const { revision } = await engine.commit({ apply: [{ type: 'put', key: 'k', value: '', lease: lease.id }] });
      while (!(await engine.lease(lease.id)).remainingMs) ;
      setTimeout(() => parentPort.postMessage(revision), 1000);
    });`;
  const library = new URL('../../packages/waymark/dist/bundle/engine.js', import.meta.url).href;
  const first = new Worker(script, { eval: true, workerData: { url, library } });
  const revision = await new Promise<number>((resolve, reject) => {
    first.once('message', resolve);
    first.once('error', reject);
  });
  await using second = await openEngine(url);
  const killedAt = performance.now();
  await first.terminate();
  const livedMs = (await endOf(second, 'k', revision)) - killedAt;
  // The time since its grant counts no more, and the other is missed first.
  expect(livedMs).toBeGreaterThanOrEqual(ttlMs * 3);
  expect(livedMs).toBeLessThanOrEqual(ttlMs * 3 + 4_000 + lateMsMax);
});
