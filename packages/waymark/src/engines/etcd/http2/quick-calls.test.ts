import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../core/clock.js';
import { systemClock } from '../../../core/system-clock.js';
import { QuickCalls } from './quick-calls.js';

let server: Http2Server;
let sessions: Set<ServerHttp2Session>;
let opened: number;
let now: number;
let calls: QuickCalls;

const clock: Clock = { ...systemClock, now: () => now };

beforeEach(async () => {
  [now, opened, sessions] = [1_000, 0, new Set()];
  server = createServer();
  server.on('session', (session) => {
    opened++;
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  calls = new QuickCalls({ address, tls: null, path: '/a/b' }, clock);
});

afterEach(() => {
  calls.close();
  for (const session of sessions) session.destroy();
  server.close();
});

const stands = (): Promise<void> => expect.poll(() => calls.take(1, false)).not.toBe(null);

test('a connection is opened when it is worth it, and nobody waits for it', async () => {
  expect(calls.take(1, false)).toBe(null);
  expect(calls.take(1, true)).toBe(null);
  await stands();
  expect(opened).toBe(1);
});

test('one that was used lately stays, one that was not is given up', async () => {
  calls.take(1, true);
  await stands();
  now += 10_000;
  expect(calls.take(1, false)).not.toBe(null);
  now += 10_001;
  expect(calls.take(1, false)).toBe(null);
  await expect.poll(() => sessions.size).toBe(0);
});

test('one that ended is followed by the next, five seconds after it was opened', async () => {
  calls.take(1, true);
  await stands();
  for (const session of sessions) session.destroy();
  await expect.poll(() => calls.take(1, false)).toBe(null);
  now += 4_999;
  expect(calls.take(1, true)).toBe(null);
  expect(calls.take(1, false)).toBe(null);
  now += 1;
  expect(calls.take(1, true)).toBe(null);
  await stands();
  expect(opened).toBe(2);
});

test('closed, none is opened', async () => {
  calls.take(1, true);
  await stands();
  calls.close();
  await expect.poll(() => sessions.size).toBe(0);
  now += 60_000;
  expect(calls.take(1, true)).toBe(null);
  expect(calls.take(1, true)).toBe(null);
});
