import { expect, test } from 'vitest';
import { type Names, type Space, WaymarkError } from 'waymark';
import { createMemoryEngine, type Engine, ForwardingEngine } from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';
import { fault, nsOf } from './fault.js';

/** The faults of stonecutters; the table of them is docs/spec/defects.md. */

const peaks = ['Denali', 'MtLogan', 'PicodeOrizaba'];
const namesOf = (space: Space, list: readonly string[] = peaks): Names =>
  nsOf(space).names('/peaks', list);

/** Counts commits, and those of them that claim a name, and breaks them. */
class Breaking extends ForwardingEngine {
  commits = 0;
  claims = 0;
  /** Instead of an answer: before it is applied, or after it was. */
  broken: 'unavailable' | 'denied' | 'uncertain' | null = null;

  override async commit(...args: Parameters<Engine['commit']>): ReturnType<Engine['commit']> {
    this.commits++;
    if (args[0].apply?.some(({ type }) => type === 'put') === true) this.claims++;
    const code = this.broken;
    if (code !== null && code !== 'uncertain') throw new WaymarkError(code, 'as it happens');
    const outcome = await super.commit(...args);
    if (code === 'uncertain') throw new WaymarkError(code, 'the answer is lost');
    return outcome;
  }
}

async function withBreaking(run: (space: Space, engine: Breaking) => Promise<void>): Promise<void> {
  await using engine = new Breaking(createMemoryEngine());
  await using space = spaceOver(engine, 'one');
  await run(space, engine);
}

test.each(['unavailable', 'denied', 'uncertain'] as const)(
  '[stonecutters 1] a failure is told as what it is (%s), never as a list that is full',
  async (code) => {
    await withBreaking(async (space, engine) => {
      const lease = await space.lease(30_000);
      engine.broken = code;
      await expect(namesOf(space).claim('me', { lease })).rejects.toMatchObject({ code });
      expect(engine.claims, 'no other name was tried').toBe(1);
      engine.broken = null;
    });
  },
);

fault('[stonecutters 1] exhausted is said when every name is claimed', async ({ spaces }) => {
  const { a, b } = spaces;
  for (const owner of peaks) await namesOf(a).claim(owner);
  await expect(namesOf(b).claim('late')).rejects.toMatchObject({ code: 'exhausted' });
});

test('[stonecutters 2] a claim whose check or answer failed leaves no name behind', async () => {
  await withBreaking(async (space, engine) => {
    const lease = await space.lease(30_000);
    engine.broken = 'uncertain';
    await expect(namesOf(space).claim('me', { lease })).rejects.toThrow('lost');
    engine.broken = null;
    const name = await namesOf(space).claim('me', { lease });
    expect((await namesOf(space).members()).members.length).toBe(1);
    await name.release();
    expect((await namesOf(space).members()).members).toEqual([]);
    // Where nobody asks again, the name goes with the lease of its claim.
    engine.broken = 'uncertain';
    await expect(namesOf(space).claim('me', { renew: false })).rejects.toThrow('lost');
    engine.broken = null;
    for (;;) if ((await namesOf(space).members()).members.length === 0) break;
  });
});

fault(
  '[stonecutters 3] who asks again has the same name; a restarted owner its former one',
  async (to) => {
    const { a, b } = to.spaces;
    const lease = await a.lease(30_000);
    const first = await namesOf(a).claim('web-1', { lease, graceMs: 60_000 });
    const again = await namesOf(a).claim('web-1', { lease, graceMs: 60_000 });
    expect([again.name, again.token]).toEqual([first.name, first.token]);
    const restarted = await namesOf(b).claim('web-1', { graceMs: 60_000 });
    expect(restarted.name).toBe(first.name);
    expect(restarted.token).toBeGreaterThan(first.token);
  },
);

fault('[stonecutters 4] a name is given back, waited for, and watched', async ({ spaces }) => {
  const { a, b } = spaces;
  const held = await namesOf(a, ['only']).claim('one');
  const changes = namesOf(b, ['only']).watch();
  expect((await changes.next()).value).toMatchObject({ claimed: [{ owner: 'one' }] });
  const next = namesOf(b, ['only']).claim('two', { wait: true });
  for (;;) if ((await namesOf(a, ['only']).members()).waiting.length === 1) break;
  expect(await held.release()).toBe(true);
  expect((await next).name).toBe('only');
  const told: string[] = [];
  for await (const { claimed, freed } of changes) {
    told.push(...freed.map(({ owner }) => `-${owner}`), ...claimed.map(({ owner }) => `+${owner}`));
    if (told.includes('+two')) break;
  }
  expect(told).toEqual(['-one', '+two']);
});

test('[stonecutters 5] the last name of a list is one commit like the first, and all members are one read', async () => {
  await using engine = new Breaking(createMemoryEngine());
  await using space = spaceOver(engine, 'one');
  const list = Array.from({ length: 100 }, (_, i) => `web-${i}`);
  for (const owner of list) await namesOf(space, list).claim(owner);
  expect(engine.commits).toBe(100);
  let reads = 0;
  const read = engine.read.bind(engine);
  engine.read = async (...args) => {
    reads++;
    return await read(...args);
  };
  const { members, revision } = await namesOf(space, list).members();
  expect([members.length, reads]).toEqual([100, 1]);
  expect(revision).toBe((await engine.status()).revision);
});

fault(
  '[stonecutters 6] a name collides with no key, and with no other list',
  async ({ spaces }) => {
    const { a, b } = spaces;
    await nsOf(b).put('/peaks', 'a value');
    await nsOf(b).put('/peaks/Denali', 'another');
    expect((await namesOf(a).claim('one')).name).toBe('Denali');
    expect((await nsOf(a).names('/others', peaks).claim('one')).name).toBe('Denali');
    expect((await b.namespace('other').names('/peaks', peaks).claim('one')).name).toBe('Denali');
    expect((await nsOf(a).get('/peaks/Denali'))?.value).toBe('another');
  },
);

fault(
  '[stonecutters 7] a list with a name that stands twice is refused with its positions, or told to lose it',
  async (to) => {
    const ns = to.a;
    const list = ['Denali', 'WheelerPeak', 'MtLogan', 'WheelerPeak'];
    expect(() => ns.names('/m', list)).toThrow(/WheelerPeak.*1.*3/);
    await ns.names('/m', list, { dropDuplicates: true }).claim('one');
    expect((await ns.names('/m').members()).size).toBe(3);
    await ns.names('/mountains').claim('one');
    expect((await ns.names('/mountains').members()).size, 'of 100 lines').toBe(99);
  },
);

fault(
  '[stonecutters 8] a name has a token that grows, and its owner is told of the loss',
  async (to) => {
    const { a, b } = to.spaces;
    const lease = await a.lease(30_000);
    const name = await namesOf(a).claim('one', { lease });
    const lost = new Promise((resolve) => name.signal.addEventListener('abort', resolve));
    await lease.release();
    await lost;
    expect(name.isHeld()).toBe(false);
    const next = await namesOf(b).claim('two');
    expect([next.name, next.token > name.token]).toEqual(['Denali', true]);
  },
);
