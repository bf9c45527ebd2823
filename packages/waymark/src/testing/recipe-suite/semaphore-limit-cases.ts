import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

/** The stored limit: who sets it, what goes against it, and how it changes under use. */
export const semaphoreLimitCases: readonly RecipeCase[] = [
  {
    name: '[P6] the first request stores the limit; another one later is limit_mismatch, with both',
    async run({ a, b }) {
      const none = await failsWith('not_found', () =>
        b.namespace('n').semaphore('/pool').acquire(),
      );
      same(none.facts.path, '/pool', 'nobody has told a limit');
      await failsWith('not_found', () => b.namespace('n').semaphore('/pool').tryAcquire());
      await failsWith('not_found', () => b.namespace('n').semaphore('/pool').resize(3));
      await a.namespace('n').semaphore('/pool', { limit: 2 }).acquire();
      for (const ask of ['acquire', 'tryAcquire'] as const) {
        const error = await failsWith('limit_mismatch', () =>
          b.namespace('n').semaphore('/pool', { limit: 3 })[ask](),
        );
        same([error.facts.max, error.facts.actual], [2, 3], 'the stored one, and the other');
      }
      await b.namespace('n').semaphore('/pool').acquire();
      same((await b.namespace('n').semaphore('/pool').status())?.used, 2, 'the stored one counts');
    },
  },
  {
    name: '[P6] weights and limits are whole numbers from 1 to 10 000, and a weight above the limit never fits',
    async run({ a }) {
      const ns = a.namespace('n');
      for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) {
        await failsWith('invalid', () => ns.semaphore('/pool', { limit }));
      }
      const semaphore = ns.semaphore('/pool', { limit: 3 });
      for (const weight of [0, -1, 1.5, 4, 10_001, Number.NaN]) {
        await failsWith('invalid', () => semaphore.acquire({ weight }));
        await failsWith('invalid', () => semaphore.tryAcquire({ weight }));
      }
      same(await semaphore.status(), null, 'and nothing was written');
      await semaphore.acquire();
      const error = await failsWith('invalid', () => ns.semaphore('/pool').acquire({ weight: 4 }));
      same([error.facts.max, error.facts.actual], [3, 4], 'the stored limit counts too');
      await failsWith('invalid', () => semaphore.resize(0));
      await failsWith('invalid', () => semaphore.explain({ weight: 0 }));
      holds(
        (await ns.semaphore('/big', { limit: 10_000 }).acquire({ weight: 10_000 })).isHeld(),
        '',
      );
    },
  },
  {
    name: '[P7] a resize above lets in at once who waits, and no more than fit',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 1 });
      await semaphore.acquire();
      const others = b.namespace('n').semaphore('/pool');
      const served: number[] = [];
      const aborted = new AbortController();
      const waiting: Promise<unknown>[] = [];
      for (let i = 0; i < 4; i++) {
        const asked = others.acquire({ signal: aborted.signal }).then(() => served.push(i));
        waiting.push(asked.catch(() => undefined));
        await eventually('it waits', async () => (await others.status())?.waiting === i + 1);
      }
      await semaphore.resize(3);
      await eventually('two more', () => served.length === 2);
      const { limit, used, waiting: left } = (await others.status()) ?? {};
      same([limit, used, left], [3, 3, 2], 'two wait on');
      same(served, [0, 1], 'the oldest two');
      same(await semaphore.tryAcquire(), null, 'who resized goes on with the new limit');
      aborted.abort();
      await Promise.all(waiting);
      await failsWith('limit_mismatch', () =>
        a.namespace('n').semaphore('/pool', { limit: 1 }).tryAcquire(),
      );
    },
  },
  {
    name: '[P7] a resize below use takes nothing away; nobody enters until it fits',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 4 });
      const held = [
        await semaphore.acquire({ weight: 2 }),
        await semaphore.acquire(),
        await semaphore.acquire(),
      ];
      await semaphore.resize(2);
      const next = b.namespace('n').semaphore('/pool').acquire();
      await eventually('it waits', async () => (await semaphore.status())?.waiting === 1);
      const { used, holding, limit } = (await semaphore.status()) ?? {};
      same([used, holding, limit], [4, 3, 2], 'all of them hold');
      await held[1]?.release();
      await held[2]?.release();
      same((await semaphore.status())?.waiting, 1, 'two of two are in use');
      same(held[0]?.isHeld(), true, 'held through it all');
      await held[0]?.release();
      holds((await soon('the next', next)).isHeld(), 'now it fits');
      same((await semaphore.status())?.used, 1, 'one of two');
    },
  },
  {
    name: '[P7] a waiter that a resize made too heavy is told, and holds nobody up',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 3 });
      const held = await semaphore.acquire();
      const heavy = semaphore.acquire({ weight: 3 });
      heavy.catch(() => undefined);
      await eventually('it waits', async () => (await semaphore.status())?.waiting === 1);
      const small = b.namespace('n').semaphore('/pool').acquire();
      await eventually('both wait', async () => (await semaphore.status())?.waiting === 2);
      await semaphore.resize(2);
      const error = await failsWith('invalid', () => soon('the heavy one', heavy));
      same([error.facts.max, error.facts.actual], [2, 3], 'why');
      holds((await soon('the small one', small)).isHeld() && held.isHeld(), 'the next is served');
    },
  },
  {
    name: '[P12] remove forgets the limit, but not while somebody holds or waits',
    async run({ a, b }) {
      const semaphore = a.namespace('n').semaphore('/pool', { limit: 2 });
      same(await semaphore.remove(), false, 'there was none');
      const permit = await semaphore.acquire();
      await failsWith('conflict', () => b.namespace('n').semaphore('/pool').remove());
      await permit.release();
      same(await b.namespace('n').semaphore('/pool').remove(), true, 'forgotten');
      await failsWith('not_found', () => a.namespace('n').semaphore('/pool').acquire());
      await b.namespace('n').semaphore('/pool', { limit: 5 }).acquire({ weight: 5 });
      same((await semaphore.status())?.limit, 5, 'a new one');
    },
  },
];
