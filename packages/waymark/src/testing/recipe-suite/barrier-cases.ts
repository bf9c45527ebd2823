import type { BarrierStatus } from '../../space/barrier-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

async function waits(count: number, of: { status(): Promise<BarrierStatus> }): Promise<void> {
  await eventually(`${count} wait`, async () => (await of.status()).waiting.length === count);
}

export const barrierCases: readonly RecipeCase[] = [
  {
    name: '[B1] nobody passes before all have come, and then all of them pass',
    async run({ a, another }) {
      const barrier = a.namespace('n').barrier('/start', { parties: 4 });
      let passed = 0;
      const waiting: Promise<number>[] = [];
      for (let i = 0; i < 3; i++) {
        const space = await another(`party-${i}`);
        const own = space.namespace('n').barrier('/start', { parties: 4 });
        waiting.push(own.wait().finally(() => passed++));
        await waits(i + 1, barrier);
      }
      const { missing, waiting: places } = await barrier.status();
      same([missing, passed], [1, 0], 'one is missing');
      same(
        places.map(({ owner }) => owner),
        ['party-0', 'party-1', 'party-2'],
        'in the order in which they came',
      );
      same(await barrier.wait(), 1, 'the last one passes at once');
      same(await soon('all', Promise.all(waiting)), [1, 1, 1], 'the first generation');
      same((await barrier.status()).waiting, [], 'and nobody waits');
    },
  },
  {
    name: '[B2] generation follows generation, and more parties than one takes wait for the next',
    async run({ a, b }) {
      const [x, y] = [a, b].map((s) => s.namespace('n').barrier('/round', { parties: 2 }));
      holds(x !== undefined && y !== undefined, 'two');
      const generations = async (of: typeof x): Promise<number[]> => {
        const seen: number[] = [];
        for (let i = 0; i < 10; i++) seen.push(await of.wait());
        return seen;
      };
      const rounds = await soon('ten rounds', Promise.all([generations(x), generations(y)]));
      const ten = Array.from({ length: 10 }, (_, i) => i + 1);
      same(rounds, [ten, ten], 'in step');
      const many = await soon(
        'five pairs',
        Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? x : y).wait())),
      );
      const pairs = [11, 11, 12, 12, 13, 13, 14, 14, 15, 15];
      same(
        many.sort((m, n) => m - n),
        pairs,
        'two a generation',
      );
    },
  },
  {
    name: '[B3] a party whose lease ends is not counted',
    async run({ a, b, another }) {
      const barrier = a.namespace('n').barrier('/start', { parties: 3 });
      const dying = await another('dying');
      const dead = dying.namespace('n').barrier('/start', { parties: 3 }).wait();
      const refused = failsWith('unavailable', () => dead);
      await waits(1, barrier);
      const first = barrier.wait();
      await waits(2, barrier);
      await dying.close();
      await refused;
      await eventually('its place is gone', async () => (await barrier.status()).missing === 2);
      const second = b.namespace('n').barrier('/start', { parties: 3 }).wait();
      await waits(2, barrier);
      same((await barrier.status()).generation, 0, 'two of three: nobody passed');
      const third = b.namespace('n').barrier('/start', { parties: 3 }).wait();
      same(await soon('three live ones', Promise.all([first, second, third])), [1, 1, 1], 'pass');
    },
  },
  {
    name: '[B3] a place ends with its lease, and its owner is told that it is lost',
    async run({ a }) {
      const barrier = a.namespace('n').barrier('/start', { parties: 2 });
      await failsWith('lost', () => barrier.wait({ ttlMs: 1_000, renew: false }));
      await eventually('nobody waits', async () => (await barrier.status()).waiting.length === 0);
    },
  },
  {
    name: '[B4] who gives up in time or by its signal was not counted',
    async run({ a, b }) {
      const barrier = a.namespace('n').barrier('/start', { parties: 2 });
      await failsWith('timeout', () => barrier.wait({ waitMs: 10 }));
      same((await barrier.status()).missing, 2, 'its place is gone');
      const aborted = new AbortController();
      const waiting = barrier.wait({ signal: aborted.signal });
      await waits(1, barrier);
      aborted.abort(new Error('enough'));
      const why = await waiting.then(
        () => 'passed',
        (error: unknown) => String(error),
      );
      same(why, 'Error: enough', 'the reason of the signal');
      await waits(0, barrier);
      const other = b.namespace('n').barrier('/start', { parties: 2 }).wait();
      await waits(1, barrier);
      same(await Promise.all([barrier.wait(), other]), [1, 1], 'two that stayed');
    },
  },
  {
    name: '[B5] who comes with another number is refused while anybody stands there',
    async run({ a, b }) {
      const barrier = a.namespace('n').barrier('/start', { parties: 2 });
      const waiting = barrier.wait();
      await waits(1, barrier);
      const other = b.namespace('n').barrier('/start', { parties: 3 });
      await failsWith('limit_mismatch', () => other.wait());
      same((await other.status()).parties, 2, 'as those have it who stand there');
      await b.namespace('n').barrier('/start', { parties: 2 }).wait();
      await waiting;
      const three = Promise.all([other.wait(), other.wait(), other.wait()]);
      same(await soon('three', three), [2, 2, 2], 'later another number is taken');
      for (const parties of [0, 101, 1.5, NaN])
        await failsWith('invalid', () => a.namespace('n').barrier('/x', { parties }));
      await failsWith('invalid', () => barrier.wait({ waitMs: -1 }));
    },
  },
  {
    name: '[B6] all enter before any works, and all leave before any goes on',
    async run({ another }) {
      const order: string[] = [];
      const party = async (i: number): Promise<void> => {
        const space = await another(`party-${i}`);
        const inside = await space.namespace('n').doubleBarrier('/work', { parties: 3 }).enter();
        order.push('in');
        await inside.leave();
        holds(!inside.isHeld() && inside.reason === undefined, 'left, not lost');
        order.push('out');
      };
      await soon('all', Promise.all([party(0), party(1), party(2)]));
      same(order, ['in', 'in', 'in', 'out', 'out', 'out'], 'in step');
    },
  },
  {
    name: '[B6] who has left waits for the others, and the next generation enters after the last',
    async run({ a, b }) {
      const barrier = a.namespace('n').doubleBarrier('/work', { parties: 2 });
      const other = b.namespace('n').doubleBarrier('/work', { parties: 2 });
      const [one, two] = await soon('both', Promise.all([barrier.enter(), other.enter()]));
      same([one.generation, two.generation], [1, 1], 'the first');
      let gone = false;
      const leaving = one.leave().then(() => (gone = true));
      const next = Promise.all([barrier.enter(), other.enter()]);
      await waits(2, barrier);
      same([gone, (await barrier.status()).inside.length], [false, 1], 'one is inside yet');
      await two.leave();
      await leaving;
      const again = await soon('the next', next);
      same(
        again.map(({ generation }) => generation),
        [2, 2],
        'the second',
      );
      for (const inside of again) await inside.release();
    },
  },
  {
    name: '[B7] a double barrier does not wait for the dead: inside, and when leaving',
    async run({ a, another }) {
      const dying = await another('dying');
      const barrier = a.namespace('n').doubleBarrier('/work', { parties: 2 });
      const [one, dead] = await Promise.all([
        barrier.enter(),
        dying.namespace('n').doubleBarrier('/work', { parties: 2 }).enter(),
      ]);
      await failsWith('timeout', () => one.leave({ waitMs: 10 }));
      same((await barrier.status()).inside.length, 1, 'it has left all the same');
      holds(dead.isHeld(), 'the other is inside');
      const late = await another('late');
      const more = late.namespace('n').doubleBarrier('/work', { parties: 2 });
      const next = Promise.all([barrier.enter(), more.enter()]);
      await waits(2, barrier);
      await dying.close();
      const [x, y] = await soon('the next generation', next);
      const left = Promise.all([x.leave(), y.leave()]);
      await soon('all have left', left);
    },
  },
  {
    name: '[B8] barriers, double barriers, locks and keys of one path are apart',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const lock = await ns.lock('/start', { tree: true });
      const waiting = b.namespace('n').barrier('/start', { parties: 2 }).wait();
      await waits(1, ns.barrier('/start', { parties: 2 }));
      same((await ns.doubleBarrier('/start', { parties: 2 }).status()).waiting, [], 'another');
      same((await ns.tree('/')).entries, [], 'no key');
      await ns.barrier('/start', { parties: 2 }).wait();
      await waiting;
      await lock.release();
    },
  },
];
