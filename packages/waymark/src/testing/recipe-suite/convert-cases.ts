import type { Space } from '../../space/types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

const upgradeWaits = async (space: Space, path: string): Promise<void> => {
  const explain = () => space.namespace('n').explain(path, { mode: 'shared' });
  await eventually('the upgrade waits', async () => (await explain()).waiters.length === 1);
};

const isFree = async (space: Space, path: string): Promise<void> =>
  same((await space.namespace('n').explain(path)).summary, `${path} is free`, 'free');

export const convertCases: readonly RecipeCase[] = [
  {
    name: '[L10] upgrade, downgrade, and the second upgrade',
    async run({ a, b }) {
      const one = await a.namespace('n').lock('/u', { mode: 'shared' });
      const two = await b.namespace('n').lock('/u', { mode: 'shared' });
      const upgrade = one.upgrade();
      await upgradeWaits(b, '/u');
      await failsWith('conflict', () => two.upgrade());
      const before = one.token;
      await two.release();
      await soon('the upgrade', upgrade);
      same(one.mode, 'exclusive', 'upgraded');
      holds(one.token > before, 'with a new token');
      await a.namespace('n').put('/u', 'under it');
      await one.downgrade();
      const again = await b.namespace('n').tryLock('/u', { mode: 'shared' });
      holds(again !== null, 'shared again');
      await failsWith('timeout', () => one.upgrade({ waitMs: 20 }));
      same(one.isHeld(), true, 'the shared hold stands');
      await again.release();
      await one.release();
    },
  },
  {
    name: '[L10] of two upgrades at once one is refused, and the other waits for its release',
    async run({ a, b }) {
      const locks = [a, b].map((space) => space.namespace('n').lock('/two', { mode: 'shared' }));
      const both = await Promise.all(locks);
      const refusals = both.map(async (lock) => {
        const refused = lock.upgrade().then(
          () => null,
          async (error: unknown) => {
            await lock.release();
            return error;
          },
        );
        return await soon('an answer', refused);
      });
      const refused = (await Promise.all(refusals)).filter((error) => error !== null);
      same(refused.length, 1, 'refused');
      same((refused[0] as { readonly code?: unknown }).code, 'conflict', 'why');
      for (const lock of both) await lock.release();
      await isFree(a, '/two');
    },
  },
  {
    name: '[L10] a waiter that came before a downgrade does not get in beside it',
    async run({ a, b }) {
      const explain = () => a.namespace('n').explain('/d');
      const lock = await a.namespace('n').lock('/d');
      const waiter = b.namespace('n').lock('/d');
      await eventually('a waiter', async () => (await explain()).waiters.length === 1);
      await lock.downgrade();
      same((await explain()).waiters.length, 1, 'it still waits');
      await lock.release();
      await (await soon('the grant', waiter)).release();
    },
  },
  {
    name: '[L10] a hold that is released while its upgrade waits ends that wait, and leaves nothing',
    async run({ a, b }) {
      const one = await a.namespace('n').lock('/up', { mode: 'shared' });
      const two = await b.namespace('n').lock('/up', { mode: 'shared' });
      const upgrade = failsWith('lost', () => one.upgrade());
      await upgradeWaits(b, '/up');
      same(await one.release(), true, 'released');
      await soon('the refusal', upgrade);
      const three = await a.namespace('n').tryLock('/up', { mode: 'shared' });
      holds(three !== null, 'nobody waits');
      await three.release();
      await two.release();
      await isFree(b, '/up');
    },
  },
  {
    name: '[L10] an upgrade that is aborted leaves the shared hold as it was',
    async run({ a, b }) {
      const one = await a.namespace('n').lock('/no', { mode: 'shared' });
      const two = await b.namespace('n').lock('/no', { mode: 'shared' });
      const stop = new AbortController();
      const upgrade = one.upgrade({ signal: stop.signal }).catch((error: unknown) => error);
      await upgradeWaits(b, '/no');
      stop.abort(new Error('never mind'));
      holds((await soon('the abort', upgrade)) instanceof Error, 'told');
      const three = await b.namespace('n').tryLock('/no', { mode: 'shared' });
      holds(three !== null, 'its place is gone');
      same([one.isHeld(), one.mode], [true, 'shared'], 'the hold');
      for (const lock of [two, three]) await lock.release();
      await soon('an upgrade after it', one.upgrade());
      await one.release();
      await isFree(b, '/no');
    },
  },
  {
    name: '[L11] forceUnlock of a hold whose upgrade waits ends both',
    async run({ a, b }) {
      const one = await a.namespace('n').lock('/fu', { mode: 'shared' });
      const two = await b.namespace('n').lock('/fu', { mode: 'shared' });
      const upgrade = failsWith('lost', () => one.upgrade());
      await upgradeWaits(b, '/fu');
      same((await b.namespace('n').forceUnlock('/fu', { reason: 'stuck' })).ended, 2, 'ended');
      await soon('the refusal', upgrade);
      await eventually('both know', () => !one.isHeld() && !two.isHeld());
      holds(one.reason?.message.includes('stuck'), 'why');
      await isFree(b, '/fu');
    },
  },
  {
    name: '[L11] forceUnlock ends every hold of a path, and serves who waits',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const holds65 = Array.from({ length: 65 }, () => ns.lock('/all', { mode: 'shared' }));
      const held = await Promise.all(holds65);
      const waiter = b.namespace('n').lock('/all');
      const explain = () => b.namespace('n').explain('/all');
      await eventually('a waiter', async () => (await explain()).waiters.length === 1);
      same((await b.namespace('n').forceUnlock('/all', { reason: 'all' })).ended, 65, 'ended');
      const lock = await soon('the grant', waiter);
      await eventually('all know', () => held.every((one) => !one.isHeld()));
      holds(lock.isHeld(), 'the next is left alone');
      await lock.release();
    },
  },
];
