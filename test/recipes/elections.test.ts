import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Space, Term } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  type Host,
  systemClock,
  systemRandom,
} from 'waymark/engine';

/** What the suite of recipes cannot reach from outside: a lease that others end, history that is gone, an engine that fails. */

function spaceOver(engine: Engine, owner: string, host: Host = createLocalHost(engine)): Space {
  return createSpace(host, { clock: systemClock, random: systemRandom, owner });
}

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
  await using space = spaceOver(engine, 'a', host);
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

/** Faults of older makers of leaders, kept from coming back: what became of each stands in docs/spec/recipes.md. */

test('[E7] spindle: the heartbeat of a deposed leader extends nobody’s term', async () => {
  await using engine = createMemoryEngine();
  await using deposed = spaceOver(engine, 'deposed');
  await using follower = spaceOver(engine, 'follower');
  const before = await deposed.namespace('n').election('/chief').campaign({ ttlMs: 600_000 });
  const election = follower.namespace('n').election('/chief');
  const lease = (await election.leader())?.lease ?? 0;
  await engine.revoke(lease);
  const next = await election.campaign({ ttlMs: 1_000, renew: false });
  await expect(engine.renew(lease)).rejects.toMatchObject({ code: 'not_found' });
  await expect(before.proclaim('zombie')).rejects.toMatchObject({ code: 'lost' });
  expect((await election.leader())?.lease).not.toBe(lease);
  await lossOf(next);
});

test('[E1] spindle: a winner that dies at once holds nobody up, for it is elected in one commit', async () => {
  await using engine = createMemoryEngine();
  const spaces = ['leader', 'winner', 'next'].map((owner) => spaceOver(engine, owner));
  const elections = spaces.map((space) => space.namespace('n').election('/chief'));
  const [leader, winner, follower] = elections as [(typeof elections)[0], ...typeof elections];
  const term = await leader.campaign();
  const won = winner?.campaign({ ttlMs: 600_000 }).catch(() => null);
  await standing(leader, 1);
  const followed = follower?.campaign();
  await standing(leader, 2);
  const lease = (await leader.explain()).waiters[0]?.lease ?? 0;
  // The resignation and the winner's death are asked for in one turn: it dies before or just after it was elected.
  await Promise.all([term.release(), engine.revoke(lease)]);
  expect((await followed)?.token).toBeGreaterThan(term.token);
  expect((await won)?.isHeld() ?? false).toBe(false);
  for (const space of spaces) await space.close();
});

test('[E4] spindle: renewals and proclamations leave the term’s number as it is', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  const election = space.namespace<number>('n').election('/chief');
  const term = await election.campaign({ ttlMs: 1_000 });
  const { token } = term;
  const lease = (await election.leader())?.lease ?? 0;
  for (let beat = 0; beat < 3; beat++) {
    await engine.renew(lease);
    await term.proclaim(beat);
    expect(await election.leader()).toMatchObject({ term: token, value: beat });
  }
  expect(term.token).toBe(token);
});

test('[E5] spindle: a name is a name, whatever it says in another language', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, "o'; --");
  const path = "/chief' OR 1=1; DROP TABLE locks; --";
  const term = await space.namespace('n').election(path).campaign();
  expect(await space.namespace('n').election(path).leader()).toMatchObject({ owner: "o'; --" });
  expect(await space.namespace('n').election('/chief').leader()).toBe(null);
  await term.release();
});

test('[E7] spindle: asking whether one leads reads nothing, and an engine that fails makes nobody a leader', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'a');
  await using other = spaceOver(engine, 'b');
  const term = await space.namespace('n').election('/chief').campaign();
  const real = { read: engine.read.bind(engine), commit: engine.commit.bind(engine) };
  const broken = () => Promise.reject(new Error('out of order'));
  Object.assign(engine, { read: broken, commit: broken });
  const election = other.namespace('n').election('/chief');
  await expect(election.campaign()).rejects.toThrow('out of order');
  await expect(election.tryCampaign()).rejects.toThrow('out of order');
  expect([election.isLeader(), term.isHeld()]).toEqual([false, true]);
  Object.assign(engine, real);
  await term.release();
});

async function standing(
  election: { explain(): Promise<{ waiters: readonly unknown[] }> },
  count: number,
): Promise<void> {
  while ((await election.explain()).waiters.length !== count) await turn();
}
