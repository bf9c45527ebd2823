import { expect, test } from 'vitest';
import type { Engine, LeaseId, Txn } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { lists } from '../space/name-lists.js';
import { createSpace } from '../space/space.js';
import type { Space } from '../space/types.js';
import { FakeClock } from '../testing/fake-clock.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { systemRandom } from '../core/system-clock.js';
import { claim, giveUp, release } from './names.js';

const list = lists.mountains.join('\n');
const anyone = { session: 'test', path: '/m', list: undefined, keeper: undefined, waitMs: 0 };

/** Counts commits, and can fail them. */
class Counting extends ForwardingEngine {
  commits: Txn[] = [];
  fails: WaymarkError | null = null;
  /** Applies it, and then says that nobody knows. */
  loses = false;
  /** What another host does in between, before this commit of those to come is made: 1 for the next. */
  meanwhile: { at: number; readonly work: () => Promise<unknown> } | null = null;

  override async commit(...args: Parameters<Engine['commit']>): ReturnType<Engine['commit']> {
    this.commits.push(args[0]);
    if (this.fails !== null) throw this.fails;
    const { meanwhile } = this;
    if (meanwhile !== null && --meanwhile.at === 0) {
      this.meanwhile = null;
      await meanwhile.work();
    }
    const outcome = await super.commit(...args);
    if (this.loses) throw new WaymarkError('uncertain', 'the answer is lost');
    return outcome;
  }
}

interface Asked {
  readonly owner: string;
  readonly list?: string;
  readonly lease?: LeaseId;
  readonly waitMs?: number;
  readonly id?: string;
}

async function ask(host: Host, { owner, lease, ...more }: Asked) {
  const under = lease ?? (await host.grant(60_000)).id;
  const args = { ...anyone, id: owner, list, owner, lease: under };
  return await host.run(claim, 'n', { ...args, ...more });
}

async function withHost(run: (host: Host, engine: Counting) => Promise<void>): Promise<void> {
  await using engine = new Counting(createMemoryEngine());
  await using host = createLocalHost(engine);
  await run(host, engine);
}

test('[A1] while uncontended a claim is one commit, the first and the last of a list', async () => {
  await withHost(async (host, engine) => {
    for (const [position, name] of lists.mountains.entries()) {
      expect(await ask(host, { owner: `o${position}` })).toMatchObject({ position, name });
    }
    expect(engine.commits.length).toBe(99);
  });
});

test('[A1] a claim that finds its guess wrong is two commits: what was freed elsewhere is lower', async () => {
  await withHost(async (host, engine) => {
    for (let i = 0; i < 50; i++) await ask(host, { owner: `o${i}` });
    await using other = createLocalHost(engine);
    const { id: lease } = await host.grant(60_000);
    const args = { ...anyone, id: 'x', owner: 'x', lease };
    const { token } = await other.run(claim, 'n', args);
    expect(await other.run(release, 'n', { path: '/m', owner: 'x', lease, token })).toBe(true);
    expect(await other.run(release, 'n', { path: '/m', owner: 'x', lease, token })).toBe(false);
    engine.commits = [];
    expect((await ask(host, { owner: 'y' })).position).toBe(50);
    expect(engine.commits.length).toBe(1);
    await other.run(claim, 'n', args);
    engine.commits = [];
    expect((await ask(host, { owner: 'z' })).position).toBe(52);
    expect(engine.commits.length).toBe(2);
  });
});

test('[A2] a claim whose answer was lost is asked again and has the same name; it takes no second one', async () => {
  await withHost(async (host, engine) => {
    const { id: lease } = await host.grant(60_000);
    engine.loses = true;
    await expect(ask(host, { owner: 'me', lease })).rejects.toMatchObject({ code: 'uncertain' });
    engine.loses = false;
    expect(await ask(host, { owner: 'me', lease })).toMatchObject({ position: 0 });
    expect((await ask(host, { owner: 'you' })).position).toBe(1);
  });
});

test.each(['unavailable', 'uncertain', 'denied', 'storage_full'] as const)(
  '[A5] an engine that answers %s is never taken for a full list',
  async (code) => {
    await withHost(async (host, engine) => {
      const { id: lease } = await host.grant(60_000);
      engine.fails = new WaymarkError(code, 'as it happens');
      await expect(ask(host, { owner: 'me', lease })).rejects.toMatchObject({ code });
      expect(engine.commits.length, 'and no other name is tried').toBe(1);
      engine.fails = null;
      expect((await ask(host, { owner: 'me', lease })).position).toBe(0);
    });
  },
);

test('[A6] a repeated request finds its place in line, and leaves none behind', async () => {
  await withHost(async (host, engine) => {
    const one = { list: 'only' };
    const { id: first } = await host.grant(60_000);
    const { token } = await ask(host, { ...one, owner: 'first', lease: first });
    const { id: lease } = await host.grant(60_000);
    const wanted = { ...one, owner: 'second', lease, id: 'r', waitMs: 60_000 };
    const waiting = [ask(host, wanted), ask(host, wanted)];
    while (engine.commits.filter(({ apply }) => apply?.[0]?.type === 'put').length < 3) {
      await turn();
    }
    await host.run(release, 'n', { path: '/m', owner: 'first', lease: first, token });
    const [x, y] = await Promise.all(waiting);
    expect(x).toEqual(y);
    const waiters = await host.read('n', { key: 'k/m\0w', end: 'k/m\0x' });
    expect(waiters.entries).toEqual([]);
  });
});

test('[A6] who is given up as its turn comes is told that its place is gone', async () => {
  await withHost(async (host, engine) => {
    const one = { list: 'only' };
    const { id: first } = await host.grant(60_000);
    const { token } = await ask(host, { ...one, owner: 'first', lease: first });
    const { id: lease } = await host.grant(60_000);
    const whose = { owner: 'second', lease, id: 'r' };
    const waiting = ask(host, { ...one, ...whose, waitMs: 60_000 });
    while (engine.commits.filter(({ apply }) => apply?.[0]?.type === 'put').length < 2) {
      await turn();
    }
    const work = () => host.run(giveUp, 'n', { path: '/m', ...whose });
    // After the release and the look that it wakes: between that and the claim.
    engine.meanwhile = { at: 3, work };
    await host.run(release, 'n', { path: '/m', owner: 'first', lease: first, token });
    await expect(waiting).rejects.toMatchObject({ code: 'lost' });
    expect(engine.meanwhile).toBeNull();
  });
});

test('[A1] claims of one host that come at once are one commit each: they take turns', async () => {
  await withHost(async (host, engine) => {
    const all = await Promise.all(lists.mountains.map((_, i) => ask(host, { owner: `o${i}` })));
    expect(new Set(all.map(({ name }) => name)).size).toBe(99);
    expect(engine.commits.length).toBe(99);
  });
});

test('[A1] a name that another host freed goes next, though this one remembers it as taken', async () => {
  await withHost(async (host, engine) => {
    const { id: lease } = await host.grant(60_000);
    for (let i = 0; i < 20; i++) await ask(host, { owner: `o${i}`, lease });
    await using other = createLocalHost(engine);
    await other.run(release, 'n', { path: '/m', owner: 'o7', lease, token: undefined });
    expect((await ask(host, { owner: 'next' })).position).toBe(7);
  });
});

test('[A9] a release keeps nothing, though the lease that kept the name lives', async () => {
  await withHost(async (host) => {
    const [{ id: lease }, { id: keeper }] = [await host.grant(60_000), await host.grant(60_000)];
    const args = { ...anyone, id: 'me', owner: 'me', lease, keeper };
    const { token } = await host.run(claim, 'n', args);
    await host.run(release, 'n', { path: '/m', owner: 'me', lease, token });
    expect((await ask(host, { owner: 'you' })).position).toBe(0);
  });
});

test('[A3] a release frees the claim it means, and not a later one of the same owner and lease', async () => {
  await withHost(async (host) => {
    const { id: lease } = await host.grant(60_000);
    const whose = { path: '/m', owner: 'me', lease };
    const first = await ask(host, { owner: 'me', lease });
    expect(await host.run(release, 'n', { ...whose, token: first.token })).toBe(true);
    const second = await ask(host, { owner: 'me', lease });
    expect(await host.run(release, 'n', { ...whose, token: first.token })).toBe(false);
    expect(await ask(host, { owner: 'me', lease })).toEqual(second);
  });
});

test('[A2] a request that is given up frees its name, unless another request was told it too', async () => {
  await withHost(async (host, engine) => {
    const { id: lease } = await host.grant(60_000);
    const by = { owner: 'me', lease };
    const whose = { ...by, path: '/m' };
    const alone = await ask(host, { ...by, id: 'alone' });
    expect(await ask(host, { ...by, id: 'alone' }), 'repeated').toEqual(alone);
    expect(await host.run(giveUp, 'n', { ...whose, id: 'alone' })).toBe(true);

    const told = await ask(host, { ...by, id: 'first' });
    expect(await ask(host, { ...by, id: 'again' }), 'answered with the same').toEqual(told);
    for (const id of ['again', 'first']) {
      expect(await host.run(giveUp, 'n', { ...whose, id }), id).toBe(false);
    }
    expect(await ask(host, { ...by, id: 'look' }), 'it stands').toEqual(told);
    await expect(host.run(giveUp, 'n', { ...whose, id: '' })).rejects.toMatchObject({
      code: 'invalid',
    });
    expect(await host.run(release, 'n', { ...whose, token: told.token })).toBe(true);
    expect((await ask(host, { owner: 'you' })).name, 'it is free').toBe('Denali');

    // One is given up in the moment in which another is answered: that one has a name then, whichever came first.
    const mine = await ask(host, { ...by, id: 'one' });
    const work = () => host.run(giveUp, 'n', { ...whose, id: 'one' });
    engine.meanwhile = { at: 2, work };
    const next = await ask(host, { ...by, id: 'two' });
    expect(next.token).toBeGreaterThan(mine.token);
    const late = () => ask(host, { ...by, id: 'three' });
    engine.meanwhile = { at: 1, work: late };
    expect(await host.run(giveUp, 'n', { ...whose, id: 'two' })).toBe(false);
    expect(await late(), 'it stands').toEqual(next);
    expect(await host.run(release, 'n', { ...whose, token: next.token })).toBe(true);
  });
});

test('[A3] a release takes nothing along that was claimed anew while it was on its way', async () => {
  await withHost(async (host, engine) => {
    await using other = createLocalHost(engine);
    const { id: lease } = await host.grant(60_000);
    const whose = { owner: 'me', lease, path: '/m' };
    const { token } = await ask(host, { owner: 'me', lease });
    let anew = 0;
    const work = async (): Promise<void> => {
      await other.run(release, 'n', { ...whose, token });
      anew = (await ask(other, { owner: 'me', lease })).token;
    };
    engine.meanwhile = { at: 1, work };
    expect(await host.run(release, 'n', { ...whose, token })).toBe(false);
    expect(anew).toBeGreaterThan(token);
    expect(await ask(host, { owner: 'me', lease })).toMatchObject({ token: anew });
  });
});

test('[A4] two hosts that set different lists: a claim is of the list that is kept', async () => {
  await withHost(async (host, engine) => {
    await using other = createLocalHost(engine);
    const { id: lease } = await host.grant(60_000);
    const back = async (by: Host, owner: string): Promise<boolean> =>
      await by.run(release, 'n', { path: '/m', owner, lease, token: undefined });
    await ask(host, { owner: 'me', lease, list: 'a\nb' });
    await back(host, 'me');
    // Nobody has a name, so the other host may set its list, which this one does not know of.
    expect((await ask(other, { owner: 'x', lease, list: 'x\ny' })).name).toBe('x');
    await back(other, 'x');
    expect((await ask(host, { owner: 'me', lease, list: 'a\nb' })).name, 'it is set anew').toBe(
      'a',
    );
    expect((await ask(other, { owner: 'you', list: 'a\nb' })).name, 'and known').toBe('b');
  });
});

test('[A4] a list is replaced only when nobody has a name of it by then', async () => {
  await withHost(async (host, engine) => {
    await using other = createLocalHost(engine);
    const { id: lease } = await host.grant(60_000);
    const back = async (owner: string): Promise<boolean> =>
      await host.run(release, 'n', { path: '/m', owner, lease, token: undefined });
    const claimBoth = async (): Promise<void> => {
      await ask(host, { owner: 'one', lease, list: 'a\nb' });
      await ask(host, { owner: 'two', lease, list: 'a\nb' });
      await back('one');
    };
    await ask(host, { owner: 'one', lease, list: 'a\nb' });
    await back('one');
    // The other host looks first, and sees that nobody has a name; then the second of them is taken.
    engine.meanwhile = { at: 2, work: claimBoth };
    await expect(ask(other, { owner: 'x', list: 'x\ny' })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect((await ask(other, { owner: 'y', list: 'a\nb' })).name).toBe('a');
  });
});

test('[A6] a claim that does not wait passes only where there is a name for each who waits', async () => {
  await withHost(async (host, engine) => {
    // One stands in line and does not move: its server was killed, its lease lives.
    const { id: lease } = await host.grant(60_000);
    const place = { type: 'put', key: 'n/n/k/m\0wdead', value: 'test\ndead', lease } as const;
    await engine.commit({ apply: [place] });
    const names = { list: 'one\ntwo' };
    expect(await ask(host, { ...names, owner: 'x' })).toMatchObject({ name: 'one' });
    await expect(ask(host, { ...names, owner: 'y' })).rejects.toMatchObject({ code: 'exhausted' });
    await host.revoke(lease);
    expect(await ask(host, { ...names, owner: 'y' })).toMatchObject({ name: 'two' });
  });
});

test('[A6] a freed name wakes one of those who wait', async () => {
  await withHost(async (host, engine) => {
    const one = { list: 'only' };
    const { id: lease } = await host.grant(60_000);
    const { token } = await ask(host, { ...one, owner: 'first', lease });
    const line = Array.from({ length: 30 }, (_, i) =>
      ask(host, { ...one, owner: `w${i}`, waitMs: 60_000 }),
    );
    const range = { key: 'k/m\0w', end: 'k/m\0x' };
    while ((await host.read('n', range)).entries.length < line.length) await turn();
    await turn();
    engine.commits = [];
    await host.run(release, 'n', { path: '/m', owner: 'first', lease, token });
    await Promise.race(line);
    for (let i = 0; i < 50; i++) await turn();
    // The release; the first looks and takes it; the second stands first, looks, and asks once.
    expect(engine.commits.length).toBeLessThan(10);
    const refused = Promise.allSettled(line);
    await host
      .read('n', range)
      .then(({ entries }) => Promise.all(entries.map((entry) => host.revoke(entry.lease))));
    expect((await refused).filter(({ status }) => status === 'fulfilled').length).toBe(1);
  });
});

test('[A9] a name is kept no longer than the grace when its lease ended, though its process lives', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const { space } = mortal(engine, clock, 'lives');
  const names = space.namespace('n').names('/m');
  const lease = await space.lease(10_000);
  await names.claim('web-1', { lease, graceMs: 20_000 });
  await lease.release();
  await pass(clock, 20_000);
  expect((await names.members()).kept.length).toBe(1);
  await pass(clock, 26_000);
  expect((await names.members()).kept).toEqual([]);
  await space.close();
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** In small steps, between which renewals are answered. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 250) {
    clock.advance(250);
    await turn();
  }
}

/** A client whose process can be killed: nothing that it says arrives any more. */
function mortal(engine: Engine, clock: FakeClock, owner: string): { space: Space; kill(): void } {
  const local = createLocalHost(engine, { clock });
  let dead = false;
  const host = new Proxy(local, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (dead) throw new WaymarkError('unavailable', 'the process was killed');
        return Reflect.apply(value, target, args);
      };
    },
  });
  const space = createSpace(host, { clock, random: systemRandom, owner });
  return { space, kill: () => void (dead = true) };
}

test('[A9] a name is kept for at least the grace after its lease ended, and not for ever', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const namesOf = (space: Space) => space.namespace('n').names('/m');
  const old = mortal(engine, clock, 'old');
  const other = mortal(engine, clock, 'other').space;
  const call = { ttlMs: 10_000, graceMs: 60_000 };
  await namesOf(old.space).claim('web-1', call);
  // Killed when it renewed the lease that keeps the name as long ago as can be.
  await pass(clock, 34_000);
  old.kill();
  await pass(clock, 69_000);
  expect((await namesOf(other).members()).kept).toMatchObject([{ owner: 'web-1' }]);
  expect((await namesOf(other).claim('web-2')).name).toBe('MtLogan');
  await pass(clock, 3_000);
  expect((await namesOf(other).members()).kept).toEqual([]);
  expect((await namesOf(other).claim('web-3')).name).toBe('Denali');
});

test('[A3] killed and joining again, 10 000 claims: no name has two live owners, and it is free a second after the TTL', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const seed = Number(process.env['SEED'] ?? 20_261);
  let state = seed;
  const below = (n: number): number => (state = (state * 48_271) % 2_147_483_647) % n;
  const ttlMs = 2_000;
  type Live = ReturnType<typeof mortal> & { names: Awaited<ReturnType<typeof claimAs>>[] };
  const claimAs = (space: Space, owner: string) =>
    space.namespace('n').names('/m').claim(owner, { ttlMs });
  const live: Live[] = [];
  const looking = mortal(engine, clock, 'looking').space.namespace('n').names('/m');
  const highest: number[] = [];
  const tokens = new Map<string, number>();
  let claims = 0;
  for (let born = 0; claims < 10_000; born++) {
    const one: Live = { ...mortal(engine, clock, `p${born}`), names: [] };
    live.push(one);
    for (let i = 0; i <= below(4); i++) {
      const name = await claimAs(one.space, `p${born}-${i}`);
      claims++;
      expect(name.token, `seed ${seed}`).toBeGreaterThan(tokens.get(name.name) ?? 0);
      tokens.set(name.name, name.token);
      highest.push(name.position);
      one.names.push(name);
    }
    const held = live.flatMap(({ names }) => names).filter((name) => name.isHeld());
    expect(new Set(held.map(({ name }) => name)).size, `seed ${seed}`).toBe(held.length);
    if (live.length < 8) continue;
    const [leaving] = live.splice(below(live.length), 1);
    if (leaving === undefined) continue;
    if (below(2) === 0) {
      await leaving.space.close();
    } else {
      leaving.kill();
      await pass(clock, ttlMs + 1_000);
      const { members } = await looking.members();
      const owners = new Set(members.map(({ owner }) => owner));
      for (const { owner } of leaving.names) expect(owners.has(owner), owner).toBe(false);
      for (const name of leaving.names) expect(name.isHeld()).toBe(false);
    }
  }
  // Eight processes of at most four names each.
  expect(Math.max(...highest)).toBeLessThan(32);
  for (const { space } of live) await space.close();
});
