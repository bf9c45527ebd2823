import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { FencedStore } from './fenced-store.js';
import type { ClientReport, ClientTask } from './lock-set-client.js';

const file = 'test/locks/lock-set.test.ts';
const program = fileURLToPath(new URL('../dist/locks/lock-set-client.js', import.meta.url));
const processes = 5;
const lockCount = 20;
const ttlMs = 1_000;

interface Run {
  readonly target: ClientTask['target'];
  readonly fenced: boolean;
  /** SIGSTOPs beyond the TTL, over all processes. */
  readonly pauses: number;
  readonly seed: number;
}

interface Sum {
  /** Acknowledged additions that are not there at the end. */
  readonly lost: number;
  readonly added: number;
  readonly refused: number;
  readonly unknown: number;
  readonly pauses: number;
}

async function runLockSet(run: Run): Promise<Sum> {
  await using server = await ServerProcess.start('memory');
  await using store = await FencedStore.open({ fenced: run.fenced });
  const task: ClientTask = {
    url: server.url,
    ...(run.target === 'store' ? { storePort: store.port } : {}),
    locks: lockCount,
    lanes: 6,
    ttlMs,
    sectionMsMax: 50,
    target: run.target,
  };
  const clients = await Promise.all(Array.from({ length: processes }, () => startClient(task)));
  let reports: ClientReport[];
  try {
    await Promise.all(
      clients.map((client, index) =>
        pauseAtRandom(client, run.pauses / processes, run.seed + index),
      ),
    );
    reports = await Promise.all(clients.map(stopClient));
  } finally {
    for (const client of clients) client.kill('SIGKILL');
  }
  await using space = await open(server.url);
  const keys = space.namespace<number>('locks');
  let lost = 0;
  let added = 0;
  for (let number = 0; number < lockCount; number++) {
    const name = `/lock-${number}`;
    const acknowledged = reports.reduce((all, report) => all + (report.added[name] ?? 0), 0);
    const there =
      run.target === 'store' ? store.count(name) : ((await keys.get(`/data${name}`))?.value ?? 0);
    lost += Math.max(0, acknowledged - there);
    added += acknowledged;
  }
  const total = (of: (report: ClientReport) => number): number =>
    reports.reduce((all, one) => all + of(one), 0);
  const sum = {
    lost,
    added,
    refused: total((one) => one.refused),
    unknown: total((one) => one.unknown),
    pauses: run.pauses,
  };
  console.log(`${run.target}, fenced ${run.fenced}: ${JSON.stringify(sum)}`);
  return sum;
}

async function startClient(task: ClientTask): Promise<ChildProcess> {
  const client = fork(program, [JSON.stringify(task)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await new Promise<void>((resolve, reject) => {
    client.once('message', () => resolve());
    client.once('exit', (code) =>
      reject(new Error(`a client ended with ${code}: is the build there (npx tsc -b)?`)),
    );
  });
  return client;
}

async function pauseAtRandom(client: ChildProcess, pauses: number, seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  for (let number = 0; number < pauses; number++) {
    await sleep(100 + random.below(300));
    client.kill('SIGSTOP');
    await sleep(ttlMs + 150 + random.below(500));
    client.kill('SIGCONT');
  }
  await sleep(500);
}

async function stopClient(client: ChildProcess): Promise<ClientReport> {
  return await new Promise((resolve, reject) => {
    client.once('message', (report) => resolve(report as ClientReport));
    client.once('exit', (code) =>
      reject(new Error(`a client ended with ${code}, without a report`)),
    );
    client.send('stop');
  });
}

const timeout = 4_800_000;
const pauses = sized(200, 2_000);

test.concurrent(
  '[L2] a resource that refuses lower tokens loses no update, whatever pauses',
  { timeout },
  async () => {
    const sum = await runLockSet({ target: 'store', fenced: true, pauses, seed: chooseSeed(file) });
    expect(sum.lost).toBe(0);
    expect(sum.refused).toBeGreaterThan(0);
  },
);

test.concurrent(
  '[L8] a key written under the hold loses no update, whatever pauses',
  { timeout },
  async () => {
    const sum = await runLockSet({
      target: 'guarded',
      fenced: true,
      pauses: pauses / 2,
      seed: chooseSeed(file),
    });
    expect(sum.lost).toBe(0);
    expect(sum.refused).toBeGreaterThan(0);
  },
);

test('[L7] control: without the check of tokens updates are lost', { timeout }, async () => {
  const sum = await runLockSet({
    target: 'store',
    fenced: false,
    pauses: 20,
    seed: chooseSeed(file),
  });
  expect(sum.lost).toBeGreaterThan(0);
});

test('[L7] control: a key written without the hold loses updates', { timeout }, async () => {
  const sum = await runLockSet({
    target: 'unguarded',
    fenced: true,
    pauses: 20,
    seed: chooseSeed(file),
  });
  expect(sum.lost).toBeGreaterThan(0);
});
