import { expect, test } from 'vitest';
import type { Term } from 'waymark';
import { createMemoryEngine } from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';
import { waiting } from './fault.js';

/** The faults of spindle, hedge's maker of leaders; the table of them is docs/spec/defects.md. */

const lossOf = (term: Term<unknown>): Promise<unknown> =>
  new Promise((resolve) => term.signal.addEventListener('abort', resolve, { once: true }));

test('[spindle 1] the heartbeat of a deposed leader extends nobody’s term', async () => {
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

test('[spindle 2] a winner that dies at once holds nobody up, for it is elected in one commit', async () => {
  await using engine = createMemoryEngine();
  const spaces = ['leader', 'winner', 'next'].map((owner) => spaceOver(engine, owner));
  const elections = spaces.map((space) => space.namespace('n').election('/chief'));
  const [leader, winner, follower] = elections as [(typeof elections)[0], ...typeof elections];
  const term = await leader.campaign();
  const won = winner?.campaign({ ttlMs: 600_000 }).catch(() => null);
  await waiting(leader, 1);
  const followed = follower?.campaign();
  await waiting(leader, 2);
  const lease = (await leader.explain()).waiters[0]?.lease ?? 0;
  // The resignation and the winner's death are asked for in one turn: it dies before or just after it was elected.
  await Promise.all([term.release(), engine.revoke(lease)]);
  expect((await followed)?.token).toBeGreaterThan(term.token);
  expect((await won)?.isHeld() ?? false).toBe(false);
  for (const space of spaces) await space.close();
});

test('[spindle 3] renewals and proclamations leave the term’s number as it is', async () => {
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

test('[spindle 4] a name is a name, whatever it says in another language', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, "o'; --");
  const path = "/chief' OR 1=1; DROP TABLE locks; --";
  const term = await space.namespace('n').election(path).campaign();
  expect(await space.namespace('n').election(path).leader()).toMatchObject({ owner: "o'; --" });
  expect(await space.namespace('n').election('/chief').leader()).toBe(null);
  await term.release();
});

test('[spindle 5] asking whether one leads reads nothing, and an engine that fails makes nobody a leader', async () => {
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
