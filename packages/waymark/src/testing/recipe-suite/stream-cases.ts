import { WaymarkError } from '../../core/errors.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import { echo, endless, group, numbers, pair, takenUnread, told } from './stream-parts.js';
import type { RecipeCase } from './suite.js';

const parts = 10_000;

export const streamCases: readonly RecipeCase[] = [
  {
    name: `[X10] ${parts} parts go there and back, each once and in order, while they are sent`,
    async run(context) {
      const { one } = await pair(context, echo);
      const stream = one.sendStream<number>(numbers(parts), { to: 'two' });
      let next = 0;
      for await (const part of stream) same(part, next++, 'in order');
      same(next, parts, 'all of them');
      same(told(await stream.outcome), 'delivered', 'to its end');
    },
  },
  {
    name: '[X10] what a handler reads without a reply, and replies to no parts, end as delivered',
    async run(context) {
      const read: unknown[] = [];
      const { one } = await pair(context, async function* (stream) {
        for await (const part of stream) read.push(part);
        yield { from: stream.from, kind: stream.kind, term: stream.term };
      });
      const upload = one.sendStream([1, 'two', null], { to: 'two' });
      same(told(await soon('the outcome', upload.outcome)), 'delivered', 'nobody read its reply');
      same(read, [1, 'two', null], 'what was sent');
      const replies: unknown[] = [];
      for await (const part of one.sendStream([], { to: 'two' })) replies.push(part);
      same(replies, [{ from: 'one', kind: 'send', term: null }], 'the reply to nothing');
    },
  },
  {
    name: '[X11] a handler that reads nothing slows the sender, and a reader that reads nothing the handler',
    async run(context) {
      let go = (): void => {};
      const asked = new Promise<void>((resolve) => (go = resolve));
      const back = endless();
      const { one } = await pair(context, async function* (stream) {
        await asked;
        for await (const part of stream) if (part === 999) break;
        yield* back.parts;
      });
      const there = endless();
      const stream = one.sendStream<number>(there.parts, { to: 'two' });
      const taken = await takenUnread(one, there);
      holds(taken <= 512, `${taken} parts were taken that nobody reads`);
      go();
      const yielded = await takenUnread(one, back);
      holds(yielded <= 512, `${yielded} replies were taken that nobody reads`);
      let read = 0;
      for await (const part of stream) {
        same(part, read++, 'in order');
        if (read === 2_000) break;
      }
      await eventually('the end of both', () => there.left && back.left);
      same(told(await stream.outcome), 'unknown, seen true', 'it was given up');
    },
  },
  {
    name: '[X11] 1 MiB waits in a direction, not more; a larger part ends the stream',
    async run(context) {
      const { one } = await pair(context, async function* (stream) {
        await new Promise<void>((resolve) =>
          stream.signal.addEventListener('abort', () => resolve(), { once: true }),
        );
        yield 1;
      });
      const large = endless();
      const big = async function* (): AsyncGenerator<string> {
        for await (const _ of large.parts) yield 'x'.repeat(400_000);
      };
      const slow = one.sendStream(big(), { to: 'two' });
      const taken = await takenUnread(one, large);
      holds(taken <= 8, `${taken} parts of 400 kB were taken that nobody reads`);
      await slow.return?.();
      const tooLarge = one.sendStream(['x'.repeat(1_048_577)], { to: 'two', deadlineMs: 500 });
      await failsWith('too_large', () => tooLarge.next());
    },
  },
  {
    name: '[X12] a handler that returns early ends the stream as delivered, and the parts are left',
    async run(context) {
      const { one } = await pair(context, async function* (stream) {
        for await (const part of stream) {
          yield part;
          if (part === 2) return;
        }
      });
      const source = endless();
      const stream = one.sendStream<number>(source.parts, { to: 'two' });
      const replies: number[] = [];
      for await (const part of stream) replies.push(part);
      same(replies, [0, 1, 2], 'what it yielded');
      same(told(await stream.outcome), 'delivered', 'its handler returned');
      await eventually('the parts are left', () => source.left);
    },
  },
  {
    name: '[X12] a handler that throws refuses in its words, after what it yielded',
    async run(context) {
      const { one } = await pair(context, async function* (stream) {
        for await (const part of stream) yield part;
        throw new Error('not today');
      });
      const stream = one.sendStream<number>(numbers(3), { to: 'two' });
      const replies: number[] = [];
      const failure = await failsWith('failed', async () => {
        for await (const part of stream) replies.push(part);
      });
      same(failure.message, 'not today', 'its words');
      same(replies, [0, 1, 2], 'what it yielded before');
      same(told(await stream.outcome), 'refused, seen true', 'refused');
    },
  },
  {
    name: '[X12] parts that throw are told to the handler behind those before, and thrown to the reader',
    async run(context) {
      const read: unknown[] = [];
      const { one } = await pair(context, async function* (stream) {
        try {
          for await (const part of stream) read.push(part);
        } catch (error) {
          holds(error instanceof WaymarkError, 'an error of ours');
          yield `${error.code}: ${error.message}`;
        }
      });
      const broken = async function* (): AsyncGenerator<number> {
        yield* numbers(3);
        throw new RangeError('no more');
      };
      const stream = one.sendStream(broken(), { to: 'two' });
      const replies: unknown[] = [];
      let thrown: unknown = null;
      try {
        for await (const part of stream) replies.push(part);
      } catch (error) {
        thrown = error;
      }
      same(read, [0, 1, 2], 'those before');
      same(replies, ['failed: no more'], 'its words');
      holds(thrown instanceof RangeError, 'the own error');
      same(told(await stream.outcome), 'delivered', 'what the handler made of it');
    },
  },
  {
    name: '[X17] a broadcast stream brings every member the same parts, and one outcome each, last',
    async run({ a, b, another }) {
      const one = await a.namespace('n').members(group).join({ id: 'one', handleStream: echo });
      await b.namespace('n').members(group).join({ id: 'two', handleStream: echo });
      const others = (await another('others')).namespace('n').members(group);
      await others.join({ id: 'deaf' });
      await others.join({
        id: 'grumpy',
        handleStream: async function* (stream) {
          for await (const part of stream) {
            yield part;
            throw new Error(`not ${String(part)} for a ${stream.kind}`);
          }
        },
      });
      const count = 1_000;
      const got = new Map<string, unknown[]>();
      const ends = new Map<string, string>();
      for await (const item of one.broadcastStream(numbers(count))) {
        const name = String(item.member);
        holds(!ends.has(name), 'nothing behind its outcome');
        if ('part' in item) got.set(name, [...(got.get(name) ?? []), item.part]);
        else ends.set(name, `${told(item)} ${item.outcome === 'delivered' ? '' : item.why}`.trim());
      }
      const deaf = ends.get('deaf') ?? '';
      holds(deaf.startsWith('refused, seen false'), `nobody there: ${deaf}`);
      ends.delete('deaf');
      same(
        [...ends].sort(),
        [
          ['grumpy', 'refused, seen true not 0 for a broadcast'],
          ['one', 'delivered'],
          ['two', 'delivered'],
        ],
        'an outcome each',
      );
      const all = [...numbers(count)];
      same(got.get('one'), all, 'all to the one');
      same(got.get('two'), all, 'all to the other');
      same(got.get('grumpy'), [0], 'as far as it went');
      const some: (string | null)[] = [];
      const call = { skipSelf: true, only: ['one', 'two'] };
      for await (const item of one.broadcastStream([1], call)) some.push(item.member);
      same(some, ['two', 'two'], 'a part and an outcome of the only other one');
      const source = endless();
      for await (const item of one.broadcastStream<number>(source.parts)) {
        if ('part' in item && item.part === 50) break;
      }
      await eventually('the parts are left', () => source.left);
    },
  },
  {
    name: '[X17] the slowest member sets the pace of a broadcast stream, and one that is over holds up nobody',
    async run(context) {
      let go = (): void => {};
      const asked = new Promise<void>((resolve) => (go = resolve));
      const { one } = await pair(context, async function* (stream) {
        await asked;
        for await (const part of stream) if (part === 999) return;
        yield 'never';
      });
      const others = (await context.another('others')).namespace('n').members(group);
      let fast = 0;
      await others.join({
        id: 'fast',
        handleStream: async function* (stream) {
          for await (const part of stream) {
            fast++;
            if (part === 2_000) yield part;
          }
        },
      });
      await others.join({
        id: 'brief',
        handleStream: async function* () {
          yield 'enough';
        },
      });
      const source = endless();
      const items: unknown[] = [];
      const reading = (async (): Promise<void> => {
        for await (const item of one.broadcastStream(source.parts)) {
          items.push('part' in item ? item.part : told(item));
          if ('part' in item && item.part === 2_000) break;
        }
      })();
      await eventually('a part', () => source.taken > 1);
      const taken = await takenUnread(one, source);
      holds(taken <= 512, `${taken} parts were taken at the pace of the fastest`);
      holds(fast > 0 && fast <= taken, 'which has had no more');
      go();
      await soon('the end', reading);
      same(
        items.filter((item) => item !== 'refused, seen false').sort(),
        [2_000, 'delivered', 'delivered', 'enough'],
        'each as far as it went',
      );
      await eventually('the parts are left', () => source.left);
    },
  },
];
