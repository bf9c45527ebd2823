import type { Permit, PermitCall, Semaphore } from '../../space/semaphore-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import { semaphoreLimitCases } from './semaphore-limit-cases.js';
import type { RecipeCase } from './suite.js';

/** Asks, and is in the queue by the time this resolves. */
async function queued(
  semaphore: Semaphore,
  call: PermitCall,
  waiting: number,
): Promise<{ readonly granted: Promise<Permit> }> {
  const granted = semaphore.acquire(call);
  granted.catch(() => undefined);
  await eventually(`${waiting} wait`, async () => (await semaphore.status())?.waiting === waiting);
  return { granted };
}

export const semaphoreCases: readonly RecipeCase[] = [
  {
    name: '[P1] a request of weight 5 among a stream of weight 1 is served in order, and not passed',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 5 });
      const stream = b.namespace('n').semaphore('/pool', { limit: 5 });
      const first = await Promise.all(Array.from({ length: 5 }, () => stream.acquire()));
      const large = await queued(semaphore, { weight: 5 }, 1);
      const order: string[] = [];
      const noted = large.granted.then((permit) => {
        order.push('large');
        return permit;
      });
      const small: Promise<Permit>[] = [];
      for (let i = 0; i < 3; i++) {
        const { granted } = await queued(stream, {}, 2 + i);
        small.push(
          granted.then((permit) => {
            order.push(`small-${i}`);
            return permit;
          }),
        );
      }
      for (const [i, permit] of first.entries()) {
        same(order, [], `${i} given back: nobody has passed`);
        same(await stream.tryAcquire(), null, 'nor does who only tries');
        await permit.release();
      }
      await (await soon('the large one', noted)).release();
      const served = await soon('the small ones', Promise.all(small));
      same(order, ['large', 'small-0', 'small-1', 'small-2'], 'in the order in which they came');
      const tokens = served.map(({ token }) => token);
      same(
        tokens,
        [...tokens].sort((x, y) => x - y),
        'tokens grow',
      );
    },
  },
  {
    name: '[P2] weights add up to the limit and no further; what does not fit waits',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 4 });
      const three = await semaphore.acquire({ weight: 3 });
      same(three.weight, 3, 'the weight that was asked for');
      const other = b.namespace('n').semaphore('/pool', { limit: 4 });
      same(await other.tryAcquire({ weight: 2 }), null, 'two do not fit');
      const one = await other.tryAcquire();
      holds(one !== null && one.token > three.token, 'one does, with a greater token');
      same((await other.status())?.used, 4, 'all in use');
      same(await semaphore.tryAcquire(), null, 'no more');
      await three.release();
      same((await other.status())?.used, 1, 'its whole weight is back');
      holds((await other.tryAcquire({ weight: 3 })) !== null, 'and to be had');
    },
  },
  {
    name: '[P3] one process holds several permits, each released alone',
    async run({ a }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 3 });
      const permits = [await semaphore.acquire(), await semaphore.acquire({ weight: 2 })];
      same(await semaphore.tryAcquire(), null, 'full by itself');
      await permits[0]?.release();
      holds(permits[1]?.isHeld(), 'the other stands');
      same(
        (await semaphore.holders()).map(({ weight }) => weight),
        [2],
        'and is the only one',
      );
    },
  },
  {
    name: '[P5] tryAcquire and waitMs 0 leave nothing behind; an abort or the end of waitMs takes the place away',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 2 });
      const held = await semaphore.acquire({ weight: 2 });
      const other = b.namespace('n').semaphore('/pool', { limit: 2 });
      same(await other.tryAcquire(), null, 'full');
      await failsWith('timeout', () => other.acquire({ waitMs: 0 }));
      same((await other.status())?.waiting, 0, 'nobody is left in the queue');
      await failsWith('timeout', () => other.acquire({ weight: 2, waitMs: 20 }));
      same((await other.status())?.waiting, 0, 'nor after a wait');
      const enough = new AbortController();
      const large = await queued(other, { weight: 2, signal: enough.signal }, 1);
      const small = await queued(semaphore, {}, 2);
      const told = large.granted.then(
        () => 'granted',
        (error: unknown) => String(error),
      );
      enough.abort(new Error('enough'));
      same(await soon('the abort', told), 'Error: enough', 'the reason of the signal');
      await held.release();
      holds((await soon('the next', small.granted)).isHeld(), 'who stood behind it is served');
    },
  },
  {
    name: '[P5] who stood behind a large request is served when that one gives up, without a release',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 2 });
      await semaphore.acquire();
      const enough = new AbortController();
      await queued(semaphore, { weight: 2, signal: enough.signal }, 1);
      const small = await queued(b.namespace('n').semaphore('/pool'), {}, 2);
      enough.abort();
      holds((await soon('the small one', small.granted)).isHeld(), 'one was free all the time');
    },
  },
  {
    name: '[P8] holders, status and explain tell at one revision who holds, who waits, since when, and why not you',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 3 });
      same(await semaphore.status(), null, 'none yet');
      same(await semaphore.holders(), [], 'nobody');
      const error = await failsWith('not_found', () => semaphore.explain());
      same(error.facts.path, '/pool', 'there is nothing to explain');
      const permit = await semaphore.acquire({ weight: 2, owner: 'api-7' });
      const free = (await semaphore.explain()).summary.replace(/revision \d+/, 'revision N');
      const who = 'api-7 holds 2 of 3 permits of /pool, since revision N';
      same(free, `${who}; nobody waits; a request of weight 1 fits now`, 'one fits');
      const heavy = (await semaphore.explain({ weight: 2 })).summary;
      holds(heavy.endsWith('a request of weight 2 would wait: 1 free'), heavy);
      const waiting = await queued(b.namespace('n').semaphore('/pool'), { weight: 2 }, 1);
      const told = await semaphore.explain();
      same(
        [told.limit, told.used, told.holding, told.waiting],
        [3, 2, 1, 1],
        'limit, use, holders and waiters',
      );
      const [holder] = told.holders;
      same([holder?.owner, holder?.weight, holder?.token], ['api-7', 2, permit.token], 'who holds');
      same([told.waiters[0]?.owner, told.waiters[0]?.weight], ['b', 2], 'who waits');
      holds(told.summary.endsWith('1 waits; a request of weight 1 would wait behind them'), 'why');
      await permit.release();
      const granted = await soon('the next', waiting.granted);
      const [next] = await semaphore.holders();
      same([next?.owner, next?.token], ['b', granted.token], 'the next one holds');
      holds((next?.since ?? 0) > granted.token, 'since it was granted, not since it came');
    },
  },
  {
    name: '[P9] a holder that is gone gives its permits back, and its hold is lost',
    async run({ b, another }) {
      const leaving = await another('leaving');
      const semaphore = leaving.namespace('n').semaphore('/pool', { limit: 3 });
      const permits = [await semaphore.acquire({ weight: 2, ttlMs: 60_000 })];
      permits.push(await semaphore.acquire());
      const next = await queued(b.namespace('n').semaphore('/pool'), { weight: 3 }, 1);
      await leaving.close();
      holds((await soon('the next', next.granted)).isHeld(), 'all three are back');
      same(
        permits.map((permit) => permit.isHeld()),
        [false, false],
        'nothing is held any more',
      );
    },
  },
  {
    name: '[P9] a permit that is not renewed ends by itself, its signal first, and the next is served',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 1 });
      const dying = await semaphore.acquire({ ttlMs: 1_000, renew: false });
      const next = b.namespace('n').semaphore('/pool').acquire();
      await soon(
        'the signal',
        new Promise<void>((resolve) => {
          dying.signal.addEventListener('abort', () => resolve(), { once: true });
        }),
      );
      const granted = await soon('the next', next);
      same([dying.isHeld(), dying.reason?.code], [false, 'lost'], 'lost, and told why');
      same(await dying.release(), false, 'nothing left to release');
      holds(granted.isHeld(), 'and the other one stands');
    },
  },
  {
    name: '[P10] a second release is harmless, and told',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 1 });
      const permit = await semaphore.acquire();
      same(await permit.release(), true, 'released');
      const other = await b.namespace('n').semaphore('/pool').acquire();
      same(await permit.release(), false, 'not held any more');
      holds(other.isHeld(), "another's permit is untouched");
      same((await semaphore.status())?.used, 1, 'and counted');
    },
  },
  {
    name: '[P11] a semaphore, an election, a lock and a key of one path have nothing to do with each other',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const permit = await ns.semaphore('/pool', { limit: 1 }).acquire();
      await b.namespace('n').put('/pool', 1);
      const lock = await b.namespace('n').lock('/pool', { tree: true });
      const term = await b.namespace('n').election('/pool').campaign();
      same(
        await ns
          .semaphore('/pool/l', { limit: 2 })
          .tryAcquire({ weight: 3 })
          .catch(() => 0),
        0,
        'apart',
      );
      holds(permit.isHeld() && lock.isHeld() && term.isHeld(), 'all four stand');
      same(await b.namespace('m').semaphore('/pool').status(), null, 'nor other namespaces');
      same((await ns.tree('/')).entries.length, 1, 'no permit among the keys');
      const root = await ns.semaphore('/', { limit: 1 }).tryAcquire();
      holds(root !== null, 'the root has one of its own');
    },
  },
  ...semaphoreLimitCases,
];
