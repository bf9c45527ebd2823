import { failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

export const counterCases: readonly RecipeCase[] = [
  {
    name: '[C1] additions from many are all counted, and each is told its own sum',
    async run({ a, b }) {
      const sums = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          (i % 2 === 0 ? a : b).namespace('n').counter('/hits').add(),
        ),
      );
      same(
        sums.sort((x, y) => x - y),
        Array.from({ length: 100 }, (_, i) => i + 1),
        'each sum once',
      );
      same(await b.namespace('n').counter('/hits').get(), 100, 'all of them');
    },
  },
  {
    name: '[C2] a counter begins at 0, and is added to and set, below 0 as well',
    async run({ a }) {
      const counter = a.namespace('n').counter('/hits');
      same(await counter.get(), 0, 'nobody has written it');
      same(await counter.add(-5), -5, 'taken away');
      same(await counter.add(7), 2, 'added');
      await counter.set(40);
      same(await counter.add(2), 42, 'from what was set');
      same((await a.namespace('n').tree('/')).entries.length, 0, 'no key among the data');
    },
  },
  {
    name: '[C3] set with ifValue writes only at that value, also at the 0 of a new counter',
    async run({ a, b }) {
      const counter = a.namespace('n').counter('/hits');
      await failsWith('conflict', () => counter.set(1, { ifValue: 7 }));
      await counter.set(1, { ifValue: 0 });
      await failsWith('conflict', () => counter.set(2, { ifValue: 0 }));
      const other = b.namespace('n').counter('/hits');
      const won = await Promise.allSettled(
        [counter, other].map((one, i) => one.set(10 + i, { ifValue: 1 })),
      );
      same(won.filter(({ status }) => status === 'fulfilled').length, 1, 'one of two');
    },
  },
  {
    name: '[C4] what is no whole number, and what passes 2^53-1, is refused and changes nothing',
    async run({ a }) {
      const counter = a.namespace('n').counter('/hits');
      for (const bad of [0.5, Infinity, NaN, 2 ** 53]) {
        await failsWith('invalid', () => counter.add(bad));
        await failsWith('invalid', () => counter.set(bad));
        await failsWith('invalid', () => counter.set(1, { ifValue: bad }));
      }
      await counter.set(Number.MAX_SAFE_INTEGER);
      const [over, under] = await Promise.allSettled([counter.add(1), counter.add(-1)]);
      same([over?.status, under?.status], ['rejected', 'fulfilled'], 'the one, not the other');
      await failsWith('exhausted', () => counter.add(2));
      same(await counter.get(), Number.MAX_SAFE_INTEGER - 1, 'what was possible');
    },
  },
  {
    name: '[C5] a latch opens once and for ever, and lets everyone through',
    async run({ a, b }) {
      const latch = a.namespace('n').latch('/ready');
      const other = b.namespace('n').latch('/ready');
      same(await other.isOpen(), false, 'closed');
      let through = 0;
      const waiting = [latch, other, other].map(async (one) => {
        await one.wait();
        through++;
      });
      same(through, 0, 'they wait');
      same(await latch.open(), true, 'opened by this call');
      await soon('all of them', Promise.all(waiting));
      same(await other.open(), false, 'open already');
      await soon('at once', other.wait({ waitMs: 10_000 }));
      holds(await other.isOpen(), 'open');
    },
  },
  {
    name: '[C6] waiting for a latch ends with its time and its signal, and with its space',
    async run({ a, another }) {
      const latch = a.namespace('n').latch('/ready');
      await failsWith('timeout', () => latch.wait({ waitMs: 10 }));
      await failsWith('invalid', () => latch.wait({ waitMs: -1 }));
      const aborted = new AbortController();
      const waiting = latch.wait({ signal: aborted.signal });
      aborted.abort(new Error('enough'));
      const why = await waiting.then(
        () => 'open',
        (error: unknown) => String(error),
      );
      same(why, 'Error: enough', 'the reason of the signal');
      const leaving = await another('leaving');
      const left = leaving.namespace('n').latch('/ready').wait();
      const refused = failsWith('unavailable', () => left);
      await leaving.close();
      await soon('the end', refused);
    },
  },
];
