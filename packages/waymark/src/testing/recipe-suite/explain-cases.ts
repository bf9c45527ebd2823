import type { WaitStep } from '../../core/host.js';
import type { HostSpace } from '../../space/space.js';
import type { Namespace, Space } from '../../space/types.js';
import { eventually, failsWith, holds, same } from './expect.js';
import type { RecipeCase } from './suite.js';

const at = (space: Space): Namespace => space.namespace('n');

/** Requests that wait until the case ends. */
class Waiting implements Disposable {
  readonly #over = new AbortController();
  readonly #ends: Promise<unknown>[] = [];

  /** @param ask  a request that will not be granted @param many  waiters there are then */
  async add(
    ask: (call: { readonly signal: AbortSignal }) => Promise<unknown>,
    explain: () => Promise<{ readonly waiters: readonly unknown[] }>,
    many = 1,
  ): Promise<void> {
    this.#ends.push(ask({ signal: this.#over.signal }).catch(() => undefined));
    await eventually('it waits', async () => (await explain()).waiters.length === many);
  }

  /** Ends them all. */
  async end(): Promise<void> {
    this.#over.abort(new Error('over'));
    await Promise.all(this.#ends);
  }

  [Symbol.dispose](): void {
    this.#over.abort(new Error('over'));
  }
}

const texts = (cycle: readonly WaitStep[]): string[] =>
  cycle.map(({ owner, recipe, path }) => `${owner} ${recipe} ${path}`).sort();

export const explainCases: readonly RecipeCase[] = [
  {
    name: '[V1] each recipe explains itself in its own words',
    async run({ a, b }) {
      using waiting = new Waiting();
      const [mine, theirs] = [at(a), at(b)];
      same((await theirs.election('/e').explain()).summary, 'nobody leads /e', 'free');
      const term = await mine.election('/e').campaign({ owner: 'me' });
      const election = (): Promise<{ waiters: readonly unknown[]; summary: string }> =>
        theirs.election('/e').explain();
      await waiting.add((call) => theirs.election('/e').campaign(call), election);
      const led = `me leads /e in term ${term.token}; 1 stands`;
      same((await election()).summary, led, 'an election');
      const lock = await mine.lock('/l', { owner: 'me' });
      const held = `me holds the exclusive lock on /l since revision ${lock.token}; nobody waits`;
      same((await theirs.explain('/l')).summary, held, 'a lock');
      const own = await failsWith('conflict', () => mine.election('/e').campaign());
      holds(own.message.includes('leads /e or stands for it'), own.message);
      const gone = await failsWith('lost', () =>
        mine.put('/x', 1, { hold: { path: '/e', token: term.token + 1 } }),
      );
      holds(gone.message.startsWith('the hold on /e'), gone.message);
    },
  },
  {
    name: '[V1] what is asked for under a lease that has ended is lost by its own name',
    async run({ a }) {
      const ns = at(a);
      const lost: Record<string, (call: { readonly ttlMs: number }) => Promise<unknown>> = {
        lock: (call) => ns.lock('/p', call),
        term: (call) => ns.election('/p').campaign(call),
        claim: (call) => ns.once('/p', () => 1, call),
        name: (call) => ns.names('/p').claim('me', call),
        place: (call) => ns.barrier('/p', { parties: 2 }).wait(call),
        membership: (call) => ns.members('/p').join(call),
      };
      let ttlMs = 10_000;
      for (const [what, ask] of Object.entries(lost)) {
        // Asked under a lease that this process keeps, and that the engine has ended.
        ttlMs += 1_000;
        await ns.lock('/kept', { ttlMs });
        const [kept] = (await ns.explain('/kept')).holders;
        await (a as HostSpace).host.revoke(kept?.lease ?? 0);
        const { message } = await failsWith('lost', () => ask({ ttlMs }));
        same(message, `the lease of this ${what} has ended`, what);
      }
    },
  },
  {
    name: '[V2] who wait for each other are told, and only as long as they do',
    async run({ a, b }) {
      const waiting = new Waiting();
      const [mine, theirs] = [at(a), at(b)];
      const first = await mine.lock('/x');
      await theirs.lock('/y', { tree: true });
      same((await mine.explain('/y/below')).cycle, [], 'nobody waits');
      await waiting.add(
        (call) => mine.lock('/y/below', call),
        () => theirs.explain('/y/below'),
      );
      same((await mine.explain('/x')).cycle, [], 'one of them can go on');
      await waiting.add(
        (call) => theirs.lock('/x', call),
        () => mine.explain('/x'),
      );
      const told = await mine.explain('/x');
      same(texts(told.cycle), [`${a.owner} lock /y/below`, `${b.owner} lock /x`].sort(), 'both');
      holds(told.summary.includes('deadlock: '), told.summary);
      same(texts((await mine.explain('/y', { tree: true })).cycle), texts(told.cycle), 'and there');
      same((await mine.explain('/z')).cycle, [], 'not for what is free');
      await waiting.end();
      same((await mine.explain('/x')).cycle, [], 'none waits any more');
      holds(first.isHeld(), 'and nothing was taken away');
    },
  },
  {
    name: '[V2] a circle is found across locks, elections, jobs that run once and semaphores',
    async run({ a, b, another }) {
      using waiting = new Waiting();
      const [c, d] = [await another('c'), await another('d')];
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      await at(a).lock('/l');
      await at(b).election('/e').campaign();
      await at(c).semaphore('/s', { limit: 2 }).acquire({ weight: 2 });
      const job = at(d).once('/o', async () => await finished);
      await eventually('it runs', async () => (await at(a).explainOnce('/o')).state === 'running');
      await waiting.add(
        (call) => at(b).lock('/l', call),
        () => at(a).explain('/l'),
      );
      await waiting.add(
        (call) => at(c).election('/e').campaign(call),
        () => at(a).election('/e').explain(),
      );
      await waiting.add(
        (call) => at(d).semaphore('/s').acquire(call),
        () => at(a).semaphore('/s').explain(),
      );
      same((await at(a).explain('/l')).cycle, [], 'it is open yet');
      await waiting.add(
        (call) => at(a).once('/o', () => 1, call),
        () => at(a).explainOnce('/o'),
      );
      const circle = [
        `${a.owner} once /o`,
        `${b.owner} lock /l`,
        'c election /e',
        'd semaphore /s',
      ];
      for (const explain of [
        at(a).explain('/l'),
        at(a).election('/e').explain(),
        at(a).semaphore('/s').explain(),
        at(a).explainOnce('/o'),
      ]) {
        const { cycle, summary } = await explain;
        same(texts(cycle), circle.sort(), summary);
        holds(summary.includes('deadlock: '), summary);
      }
      finish();
      await job;
    },
  },
  {
    name: '[V2] who waits for a semaphore is suspected only when nobody else can make room',
    async run({ a, b, another }) {
      using waiting = new Waiting();
      const c = await another('c');
      for (const space of [a, c]) await at(space).semaphore('/s', { limit: 2 }).acquire();
      await at(b).lock('/l');
      const explain = () => at(a).semaphore('/s').explain();
      await waiting.add((call) => at(b).semaphore('/s').acquire(call), explain);
      await waiting.add(
        (call) => at(a).lock('/l', call),
        () => at(a).explain('/l'),
      );
      same((await explain()).cycle, [], 'c can release');
      await waiting.add(
        (call) => at(c).lock('/l', call),
        () => at(a).explain('/l'),
        2,
      );
      const { cycle } = await explain();
      same(cycle.length, 2, 'nobody can');
      holds(texts(cycle).includes(`${b.owner} semaphore /s`), 'b among them');
    },
  },
  {
    name: "[V2] shared locks are in nobody shared's way, and who waits for itself is a circle of one",
    async run({ a, b }) {
      using waiting = new Waiting();
      await at(a).lock('/r', { mode: 'shared' });
      await at(b).lock('/r', { mode: 'shared' });
      await at(b).lock('/w');
      await waiting.add(
        (call) => at(a).lock('/w', call),
        () => at(a).explain('/w'),
      );
      same((await at(a).explain('/r')).cycle, [], 'both read');
      await at(a).semaphore('/s', { limit: 1 }).acquire({ owner: 'me' });
      await waiting.add(
        (call) =>
          at(a)
            .semaphore('/s')
            .acquire({ ...call, owner: 'me' }),
        () => at(a).semaphore('/s').explain(),
      );
      same(texts((await at(b).semaphore('/s').explain()).cycle), ['me semaphore /s'], 'itself');
    },
  },
  {
    name: '[V2] who can go on hides nobody who cannot, and a shared wait is not for who shares',
    async run({ a, b, another }) {
      using waiting = new Waiting();
      const [c, d] = [await another('c'), await another('d')];
      await at(c).lock('/r/1', { mode: 'shared' });
      await at(a).lock('/r/2', { mode: 'shared' });
      await at(d).lock('/r/3');
      await at(b).lock('/w');
      await at(d).lock('/q');
      await at(a).lock('/x');
      const tree = { tree: true, mode: 'shared' } as const;
      const explain = () => at(a).explain('/r', { tree: true });
      await waiting.add(
        (call) => at(c).lock('/q', call),
        () => at(c).explain('/q'),
      );
      await waiting.add((call) => at(b).lock('/r', { ...call, ...tree }), explain);
      await waiting.add(
        (call) => at(a).lock('/w', call),
        () => at(a).explain('/w'),
      );
      same((await explain()).cycle, [], 'only d is in the way of b');
      await waiting.add(
        (call) => at(b).lock('/x', call),
        () => at(a).explain('/x'),
      );
      const { cycle } = await explain();
      same(texts(cycle), [`${a.owner} lock /w`, `${b.owner} lock /x`].sort(), 'a and b');
    },
  },
];
