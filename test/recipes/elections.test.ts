import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Term } from 'waymark';
import { createLocalHost, createMemoryEngine } from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';

/** What the suite of recipes cannot reach from outside: a lease that others end, history that is gone, an engine that fails. */

const lossOf = (term: Term<unknown>): Promise<unknown> =>
  new Promise((resolve) => term.signal.addEventListener('abort', resolve, { once: true }));

test('[E8] a term whose lease is revoked loses its signal long before the TTL is over, and says so', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const election = space.namespace('n').election('/chief');
  const term = await election.campaign({ ttlMs: 600_000 });
  const lost = lossOf(term);
  await engine.revoke((await election.leader())?.lease ?? 0);
  await lost;
  expect(term.reason).toMatchObject({ code: 'lost' });
  expect(term.reason?.message).toContain('its lease ended');
  expect(election.isLeader()).toBe(false);
});

test('[E6] a campaign whose lease ended fails, and never goes on under another one', async () => {
  await using engine = createMemoryEngine();
  await using leader = spaceOver(engine, 'leader');
  await using space = spaceOver(engine, 'candidate');
  const term = await leader.namespace('n').election('/chief').campaign();
  const election = space.namespace('n').election('/chief');
  const refused = expect(election.campaign()).rejects.toMatchObject({ code: 'lost' });
  await standing(election, 1);
  const { waiters } = await election.explain();
  await engine.revoke(waiters[0]?.lease ?? 0);
  await refused;
  expect((await election.explain()).waiters).toEqual([]);
  await term.release();
  expect(await election.leader()).toBe(null);
  const next = await election.campaign();
  expect((await election.leader())?.lease).not.toBe(waiters[0]?.lease);
  await next.release();
});

test('[E3] an observer whose history was compacted goes on with the leader as it is', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const election = space.namespace<string>('n').election('/chief');
  const observed = election.observe();
  expect((await observed.next()).value).toBe(null);
  const term = await election.campaign({ value: 'one' });
  await term.proclaim('two');
  const { revision } = await engine.status();
  await engine.compact(revision);
  expect((await observed.next()).value).toMatchObject({ value: 'two', term: term.token });
  await term.proclaim('three');
  expect((await observed.next()).value).toMatchObject({ value: 'three' });
  await observed.return?.();
});

test('[E8] what ended while its history was compacted is told as ended', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const term = await space.namespace('n').election('/chief').campaign();
  await engine.commit({ apply: [{ type: 'delete', key: 'n/', end: 'n0' }] });
  await engine.compact((await engine.status()).revision);
  await lossOf(term);
  expect(term.reason?.message).toBe(`term ${term.token} of /chief ended`);
});

test('[E7] a resignation that did not arrive is made again by the next release', async () => {
  await using engine = createMemoryEngine();
  const host = createLocalHost(engine);
  const real = host.run.bind(host);
  await using space = spaceOver(engine, 'a', { host });
  const election = space.namespace('n').election('/chief');
  const term = await election.campaign();
  host.run = () => Promise.reject(new Error('out of reach'));
  await expect(term.release()).rejects.toThrow('out of reach');
  expect(term.isHeld()).toBe(false);
  host.run = real;
  expect((await election.leader())?.term).toBe(term.token);
  expect(await term.release()).toBe(true);
  expect(await election.leader()).toBe(null);
  expect(await term.release()).toBe(false);
});

test('[E4] a leader that is told by a refused proclamation leads no more', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const election = space.namespace('n').election('/chief');
  const term = await election.campaign();
  await engine.commit({ apply: [{ type: 'delete', key: 'n/', end: 'n0' }] });
  await expect(term.proclaim('late')).rejects.toMatchObject({ code: 'lost' });
  expect([term.isHeld(), election.isLeader(), term.signal.aborted]).toEqual([false, false, true]);
});

test('[E4] a term that ends while its proclamation is made is not brought back by it', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const election = space.namespace('n').election('/chief');
  const term = await election.campaign();
  const read = engine.read.bind(engine);
  engine.read = async (...args) => {
    const reading = await read(...args);
    engine.read = read;
    await engine.commit({ apply: [{ type: 'delete', key: 'n/', end: 'n0' }] });
    return reading;
  };
  await expect(term.proclaim('late')).rejects.toMatchObject({ code: 'lost' });
  expect(await election.leader()).toBe(null);
});

async function standing(
  election: { explain(): Promise<{ waiters: readonly unknown[] }> },
  count: number,
): Promise<void> {
  while ((await election.explain()).waiters.length !== count) await turn();
}
