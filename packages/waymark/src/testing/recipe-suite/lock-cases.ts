import type { Lock } from '../../space/types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

const queueOf = async (
  explain: () => Promise<{ waiters: readonly unknown[] }>,
  length: number,
): Promise<void> =>
  await eventually(`${length} waiting`, async () => (await explain()).waiters.length === length);

export const lockCases: readonly RecipeCase[] = [
  {
    name: '[L1] first come, first served; tokens grow',
    async run({ a, another }) {
      const held = await a.namespace('n').lock('/q');
      const order: number[] = [];
      const tokens = [held.token];
      const waiting: Promise<void>[] = [];
      for (let i = 0; i < 5; i++) {
        const ns = (await another(`waiter-${i}`)).namespace('n');
        const served = ns.lock('/q').then(async (lock) => {
          order.push(i);
          tokens.push(lock.token);
          await lock.release();
        });
        waiting.push(served);
        await queueOf(() => a.namespace('n').explain('/q'), i + 1);
      }
      await held.release();
      await soon('all grants', Promise.all(waiting));
      same(order, [0, 1, 2, 3, 4], 'in order');
      same(
        tokens,
        [...tokens].sort((x, y) => x - y),
        'tokens grow',
      );
    },
  },
  {
    name: '[L7] a space that closes tells who waits, and leaves no place',
    async run({ a, another }) {
      const held = await a.namespace('n').lock('/closing');
      const waiter = await another('waiter');
      const waiting = failsWith('unavailable', () => waiter.namespace('n').lock('/closing'));
      const explain = () => a.namespace('n').explain('/closing');
      await queueOf(explain, 1);
      await waiter.close();
      await soon('the refusal', waiting);
      await queueOf(explain, 0);
      await held.release();
    },
  },
  {
    name: '[L2] a tree lock covers what is below, and what is created later; /a never meets /ab',
    async run({ a, b }) {
      const tree = await a.namespace('n').lock('/a', { tree: true });
      const ns = b.namespace('n');
      same(await ns.tryLock('/a/b/c'), null, 'below');
      same(await ns.tryLock('/a'), null, 'the same path');
      same(await ns.tryLock('/', { tree: true }), null, 'a tree above');
      const above = await ns.tryLock('/');
      const beside = await ns.tryLock('/ab', { tree: true });
      holds(above !== null && beside !== null, 'the root alone, and /ab, are free');
      await above.release();
      await beside.release();
      await tree.release();
      const below = await ns.lock('/a/b/c');
      same(
        await a.namespace('n').tryLock('/a', { tree: true }),
        null,
        'a tree meets what is held below',
      );
      holds((await a.namespace('n').tryLock('/a')) !== null, 'the path above alone does not');
      await below.release();
    },
  },
  {
    name: '[L2] shared locks stand together, and wait behind an older exclusive request',
    async run({ a, b }) {
      const one = await a.namespace('n').lock('/s', { mode: 'shared' });
      const two = await b.namespace('n').lock('/s', { mode: 'shared', tree: true });
      await two.release();
      const exclusive = b.namespace('n').lock('/s');
      await queueOf(() => a.namespace('n').explain('/s'), 1);
      same(
        await a
          .namespace('n')
          .tryLock('/s/below', { mode: 'shared' })
          .then((l) => l?.mode),
        'shared',
        'beside',
      );
      await one.release();
      const lock = await soon('the grant', exclusive);
      same(
        await a.namespace('n').tryLock('/s', { mode: 'shared' }),
        null,
        'not beside an exclusive one',
      );
      await lock.release();
    },
  },
  {
    name: '[L7] tryLock leaves no place; waitMs ends with timeout; an abort takes the place away first',
    async run({ a, b }) {
      const held = await a.namespace('n').lock('/w');
      const ns = b.namespace('n');
      same(await ns.tryLock('/w'), null, 'not free');
      await failsWith('timeout', () => ns.lock('/w', { waitMs: 30 }));
      const stop = new AbortController();
      const aborted = ns.lock('/w', { signal: stop.signal }).then(
        () => null,
        (error: unknown) => error,
      );
      await queueOf(() => ns.explain('/w'), 1);
      const why = new Error('never mind');
      stop.abort(why);
      same(await soon('the abort', aborted), why, 'the reason of the signal');
      same((await ns.explain('/w')).waiters, [], 'no place is left');
      await held.release();
      same((await ns.explain('/w')).summary, '/w is free', 'and it is free');
    },
  },
  {
    name: '[L8] a session never waits for itself, also not behind another that waits for it',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const lock = await ns.lock('/mine', { tree: true });
      await failsWith('conflict', () => ns.lock('/mine/below'));
      const ended = new AbortController();
      const theirs = b.namespace('n').lock('/mine/below', { signal: ended.signal });
      await queueOf(() => ns.explain('/mine/below'), 1);
      await failsWith('conflict', () => ns.lock('/mine/below'));
      same((await ns.explain('/mine/below')).waiters.length, 1, 'no place stays');
      ended.abort(new Error('over'));
      await theirs.catch(() => undefined);
      await failsWith('conflict', () => ns.lock('/', { tree: true, ttlMs: 20_000 }));
      await lock.release();
      await (await ns.lock('/mine/below')).release();
    },
  },
  {
    name: '[L9] releasing twice is harmless and told',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/r');
      same(await lock.release(), true, 'the first');
      const other = await b.namespace('n').lock('/r');
      same(await lock.release(), false, 'the second');
      holds(other.isHeld() && !lock.isHeld() && lock.remainingMs() === 0, 'the other still holds');
      same(lock.signal.aborted, false, 'a release of one\u2019s own is no loss');
      await other.release();
    },
  },
  {
    name: '[L11] forceUnlock ends it, and its holder is told why',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/f');
      const lost = new Promise((resolve) =>
        lock.signal.addEventListener('abort', resolve, { once: true }),
      );
      same(
        (await b.namespace('n').forceUnlock('/f', { reason: 'host is gone' })).ended,
        1,
        'ended',
      );
      await soon('the signal', lost);
      holds(lock.reason?.message.includes('host is gone'), 'the reason is told');
      same(lock.isHeld(), false, 'lost');
      same(await lock.release(), false, 'and released by nobody');
      await (await b.namespace('n').lock('/f')).release();
    },
  },
  {
    name: '[L12] renew: false ends by itself, the signal first',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/e', { ttlMs: 1_000, renew: false });
      let lostAt = 0;
      lock.signal.addEventListener('abort', () => (lostAt = performance.now()), { once: true });
      const next = await soon('the grant', b.namespace('n').lock('/e'));
      const grantedAt = performance.now();
      holds(lostAt > 0 && lostAt <= grantedAt, 'the signal came before the next grant');
      holds(next.token > lock.token, 'the token grew');
      await next.release();
    },
  },
  {
    name: '[L13] explain: holders, waiters, since when',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/x', { tree: true, owner: 'first' });
      const waiter = b.namespace('n').lock('/x/y', { owner: 'second' });
      await queueOf(() => a.namespace('n').explain('/x', { tree: true }), 1);
      const told = await b.namespace('n').explain('/x/y');
      same(
        told.holders.map(({ owner, path, token }) => [owner, path, token]),
        [['first', '/x', lock.token]],
        'who holds',
      );
      same(
        told.waiters.map(({ owner, path }) => [owner, path]),
        [['second', '/x/y']],
        'who waits',
      );
      await lock.release();
      await (await soon('the grant', waiter)).release();
    },
  },
  {
    name: '[L5] thirty waiters are served, each once, none together',
    async run({ a, b }) {
      let inside = 0;
      let served = 0;
      const tokens: number[] = [];
      const work = async (lock: Lock): Promise<void> => {
        holds(++inside === 1, 'alone');
        tokens.push(lock.token);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
        served++;
        await lock.release();
      };
      const tasks = [a, b].map(async (space) => {
        for (let i = 0; i < 15; i++) await work(await space.namespace('n').lock('/many'));
      });
      await soon('all of them', Promise.all(tasks), 30_000);
      same(served, 30, 'served');
      same(
        tokens,
        [...tokens].sort((x, y) => x - y),
        'tokens grow in the order of service',
      );
    },
  },
];
