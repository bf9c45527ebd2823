import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { service } from '#services';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { ServerProcess } from './server-process.js';

/**
 * A server over etcd whose wall clock jumps by an hour, ahead and back, by libfaketime. It does not act on etcd, which takes the time from the
 * kernel and not from libc; what etcd does with its own clock is etcd's.
 */
let directory: string;
let etcd: RunningEtcd;
let server: ServerProcess;
let jumping = true;
let jumps: Promise<void>;

const clockFile = (): string => join(directory, 'clock');
const setClock = (by: string): Promise<void> => writeFile(clockFile(), `${by}\n`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-clock-'));
  await setClock('+0');
  etcd = await startEtcd();
  server = await ServerProcess.start(`etcd://${etcd.address}/clock`, {
    LD_PRELOAD: service('libfaketime').path,
    FAKETIME_TIMESTAMP_FILE: clockFile(),
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  });
});

afterAll(async () => {
  jumping = false;
  await jumps;
  await server[Symbol.asyncDispose]();
  await etcd.stop();
  await rm(directory, { recursive: true });
});

async function hourAhead(): Promise<number> {
  const { headers } = await fetch(`${server.url}/healthz`);
  return (Date.parse(headers.get('date') ?? '') - Date.now()) / 3_600_000;
}

test('[K10] the wall clock of the server does jump', async () => {
  for (const [by, hours] of [
    ['+1h', 1],
    ['-1h', -1],
  ] as const) {
    await setClock(by);
    await expect.poll(hourAhead, { timeout: 10_000 }).toBeCloseTo(hours, 1);
  }
  jumps = (async () => {
    for (let number = 0; jumping; number++) {
      await setClock(['+1h', '+0', '-1h'][number % 3] ?? '+0');
      await sleep(150);
    }
  })();
});

test('[K10 L4] while it jumps no hold ends early, and none lives on', async () => {
  const ttlMs = 2_000;
  await using holders = await open(server.url);
  await using waiters = await open(server.url);
  const kept = await holders.namespace('ns').lock('/kept', { ttlMs });
  const lateMs = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      await sleep(number * 100);
      const path = `/left-${number}`;
      const from = performance.now();
      const left = await holders.namespace('ns').lock(path, { ttlMs, renew: false });
      const next = await waiters.namespace('ns').lock(path, { ttlMs: 60_000 });
      expect(next.token).toBeGreaterThan(left.token);
      expect(left.isHeld()).toBe(false);
      return performance.now() - from - ttlMs;
    }),
  );
  console.log(`late by ${Math.min(...lateMs).toFixed(0)} to ${Math.max(...lateMs).toFixed(0)} ms`);
  expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...lateMs)).toBeLessThan(4_000);
  expect(kept.isHeld()).toBe(true);
});
