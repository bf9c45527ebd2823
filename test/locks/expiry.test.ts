import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { type Lock, open, type Space } from 'waymark';
import { steadyDate } from '../faults/jumping-date.js';
import { FaultProxy } from '../faults/proxy.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';

/**
 * Holders whose renewals are delayed and then cut off, each with a waiter behind it. All times are of one monotonic clock, that of this
 * process. The wall clock of this process and of the server jumps by an hour all the while (jumping-date.ts).
 */
const file = 'test/locks/expiry.test.ts';
const jumpingDate = fileURLToPath(new URL('../dist/faults/jumping-date.js', import.meta.url));
const ttlMs = 1_000;
/** What the client takes off its deadline: 1 % of the TTL and 20 ms. */
const marginMs = ttlMs * 0.01 + 20;
const atOnce = 50;

afterAll(() => steadyDate());

interface Expiry {
  /** Positive: the holder believed in its hold after the next one had it. */
  readonly overlapMs: number;
  /** Positive: the server gave the lock away before the TTL since the last renewal that was answered. */
  readonly earlyMs: number;
  /** From the holder's last believed deadline to the next grant. */
  readonly lateMs: number;
}

async function startServer(): Promise<ServerProcess> {
  return await ServerProcess.start('memory', { NODE_OPTIONS: `--import ${jumpingDate}` });
}

/** One holder that loses its server, one waiter that gets the lock. */
async function expire(
  server: ServerProcess,
  waiters: Space,
  path: string,
  random: SeededRandom,
): Promise<Expiry> {
  await using proxy = await FaultProxy.open(server.url);
  await using holders = await open(proxy.url, { owner: 'holder' });
  const held = await holders.namespace('ns').lock(path, { ttlMs });
  proxy.replyDelayMs = random.pick([0, 0, 1]) * random.below(0.9 * ttlMs);
  const belief = watchBelief(held);
  const waiting = waiters.namespace('ns').lock(path, { ttlMs: 60_000 });
  await sleep(random.below(700));
  const fault = random.below(3);
  if (fault === 0) proxy.requestDrop = true;
  if (fault === 1) proxy.replyDrop = true;
  if (fault === 2) {
    proxy.refuse = true;
    proxy.cutAll();
  }
  await using next = await waiting;
  const grantedAt = performance.now();
  const { lostAt, deadline } = belief();
  expect(next.token).toBeGreaterThan(held.token);
  expect(held.isHeld()).toBe(false);
  proxy.heal();
  return {
    overlapMs: lostAt - grantedAt,
    earlyMs: deadline + marginMs - grantedAt,
    lateMs: grantedAt - deadline - marginMs,
  };
}

/** Samples what the holder believes: when its signal fired, and the last deadline it counted on. */
function watchBelief(lock: Lock): () => { lostAt: number; deadline: number } {
  let lostAt = Infinity;
  let deadline = 0;
  lock.signal.addEventListener('abort', () => (lostAt = performance.now()), { once: true });
  const sample = (): void => {
    const remaining = lock.remainingMs();
    if (remaining > 0) deadline = Math.max(deadline, performance.now() + remaining);
  };
  sample();
  const sampling = setInterval(sample, 5);
  return () => {
    clearInterval(sampling);
    return { lostAt, deadline };
  };
}

async function runExpiries(count: number, seed: number): Promise<Expiry[]> {
  await using server = await startServer();
  await using waiters = await open(server.url, { owner: 'waiter' });
  const random = new SeededRandom(seed);
  const all: Expiry[] = [];
  for (let done = 0; done < count; done += atOnce) {
    const round = Array.from({ length: atOnce }, (_, lane) =>
      expire(server, waiters, `/lock-${done + lane}`, random),
    );
    all.push(...(await Promise.all(round)));
  }
  return all;
}

test(
  '[L4 L5] a holder knows of its loss before the next grant, and no lease ends early',
  { timeout: 3_600_000 },
  async () => {
    const expiries = await runExpiries(sized(500, 5_000), chooseSeed(file));
    const overlaps = expiries.filter(({ overlapMs }) => overlapMs > 0);
    const early = expiries.filter(({ earlyMs }) => earlyMs > 1);
    const late = expiries.map(({ lateMs }) => lateMs).sort((a, b) => a - b);
    console.log(
      `${expiries.length} expiries: ${overlaps.length} overlaps, ${early.length} early; granted after the last TTL ` +
        `p50 ${late[late.length >> 1]?.toFixed(0)} ms, max ${late.at(-1)?.toFixed(0)} ms`,
    );
    expect(overlaps).toEqual([]);
    expect(early).toEqual([]);
  },
);

test(
  '[L4] control: a holder that counts from the reply overlaps with the next',
  { timeout: 60_000 },
  async () => {
    await using server = await startServer();
    await using proxy = await FaultProxy.open(server.url);
    await using holders = await open(proxy.url);
    await using waiters = await open(server.url);
    proxy.replyDelayMs = 400;
    const held = await holders.namespace('ns').lock('/a', { ttlMs, renew: false });
    const believedUntil = performance.now() + ttlMs;
    await using next = await waiters.namespace('ns').lock('/a');
    const overlapMs = believedUntil - performance.now();
    console.log(`counted from the reply: ${overlapMs.toFixed(0)} ms of overlap`);
    expect(next.token).toBeGreaterThan(held.token);
    expect(overlapMs).toBeGreaterThan(0);
  },
);

test(
  '[L3] a waiter whose lease died while it waited fails, and leaves nothing behind',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    await using holders = await open(server.url);
    const rounds = Array.from({ length: sized(100, 1_000) }, async (_, number) => {
      const path = `/lock-${number}`;
      await using proxy = await FaultProxy.open(server.url);
      await using waiters = await open(proxy.url);
      const held = await holders.namespace('ns').lock(path, { ttlMs: 60_000 });
      const waiting = waiters.namespace('ns').lock(path, { ttlMs });
      const refused = expect(waiting).rejects.toMatchObject({ code: 'lost' });
      await queued(holders, path);
      if (number % 2 === 0) proxy.requestDrop = true;
      else proxy.replyDrop = true;
      const cutAt = performance.now();
      await refused;
      expect(performance.now() - cutAt).toBeLessThan(ttlMs + 2_000);
      await held.release();
      const releasedAt = performance.now();
      await using next = await holders.namespace('ns').lock(path, { ttlMs: 60_000 });
      expect(performance.now() - releasedAt).toBeLessThan(ttlMs + 1_000);
      expect(next.isHeld()).toBe(true);
      proxy.heal();
    });
    await Promise.all(rounds);
  },
);

test(
  '[L9] an acquisition whose answer is lost leaves no phantom holder',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    await using others = await open(server.url);
    const rounds = Array.from({ length: sized(100, 500) }, async (_, number) => {
      const path = `/lock-${number}`;
      await using proxy = await FaultProxy.open(server.url);
      await using space = await open(proxy.url);
      // The lease is there already, so that the lost answer is that of the lock.
      await (await space.namespace('ns').lock(`${path}/first`, { ttlMs })).release();
      proxy.replyDrop = true;
      const unknown = space.namespace('ns').lock(path, { ttlMs });
      const refused = expect(unknown).rejects.toMatchObject({ name: 'WaymarkError' });
      await held(others, path);
      const tookAt = performance.now();
      await using next = await others.namespace('ns').lock(path, { ttlMs: 60_000 });
      expect(performance.now() - tookAt).toBeLessThan(ttlMs + 1_000);
      expect(next.isHeld()).toBe(true);
      await refused;
      proxy.heal();
    });
    await Promise.all(rounds);
  },
);

async function queued(space: Space, path: string): Promise<void> {
  while ((await space.namespace('ns').explain(path)).waiters.length === 0) await sleep(2);
}

async function held(space: Space, path: string): Promise<void> {
  while ((await space.namespace('ns').explain(path)).holders.length === 0) await sleep(2);
}
