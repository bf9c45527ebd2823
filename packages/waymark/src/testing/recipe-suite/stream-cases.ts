import { WaymarkError } from '../../core/errors.js';
import type { Membership } from '../../space/member-types.js';
import type { StreamHandler, StreamOutcome } from '../../space/stream-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase, RecipeContext } from './suite.js';

const group = '/workers';
const parts = 10_000;

const echo: StreamHandler = async function* (stream) {
  for await (const part of stream) yield part;
};

function* numbers(count: number): Generator<number> {
  for (let at = 0; at < count; at++) yield at;
}

/** What a stream came to, without its words. */
function told(outcome: StreamOutcome): string {
  return outcome.outcome === 'delivered' ? 'delivered' : `${outcome.outcome}, seen ${outcome.seen}`;
}

/** Never ends by itself, and says when it is left. */
function endless(): { readonly parts: AsyncGenerator<number>; taken: number; left: boolean } {
  const source = { taken: 0, left: false };
  const run = async function* (): AsyncGenerator<number> {
    try {
      for (;;) yield source.taken++;
    } finally {
      source.left = true;
    }
  };
  return Object.assign(source, { parts: run() });
}

async function pair(
  { a, b }: RecipeContext,
  handleStream: StreamHandler,
): Promise<{ readonly one: Membership; readonly two: Membership }> {
  const one = await a.namespace('n').members(group).join({ id: 'one' });
  const handle = (): string => 'here';
  const two = await b.namespace('n').members(group).join({ id: 'two', handle, handleStream });
  return { one, two };
}

/** What is taken of a source that nobody reads: all that is, once messages have gone to and fro long enough for more. */
async function takenUnread(one: Membership, source: { readonly taken: number }): Promise<number> {
  await eventually('the first parts', () => source.taken > 1);
  for (let at = 0; at < 30; at++) {
    same((await one.sendTo('two', at)).outcome, 'delivered', 'a round trip');
  }
  return source.taken;
}

export const streamCases: readonly RecipeCase[] = [
  {
    name: `[X9] ${parts} parts go there and back, each once and in order, while they are sent`,
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
    name: '[X9] what a handler reads without a reply, and replies to no parts, end as delivered',
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
    name: '[X10] a handler that reads nothing slows the sender, and a reader that reads nothing the handler',
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
    name: '[X10] 1 MiB waits in a direction, not more; a larger part ends the stream',
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
    name: '[X11] a handler that returns early ends the stream as delivered, and the parts are left',
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
    name: '[X11] a handler that throws refuses in its words, after what it yielded',
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
    name: '[X11] parts that throw are told to the handler behind those before, and thrown to the reader',
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
    name: '[X12] a stream ends by its deadline, on both sides',
    async run(context) {
      let seen: unknown = null;
      const { one } = await pair(context, async function* (stream) {
        try {
          for await (const part of stream) yield part;
        } catch (error) {
          seen = error;
        }
      });
      const silent = async function* (): AsyncGenerator<number> {
        yield 1;
        await new Promise(() => {});
      };
      const stream = one.sendStream<number>(silent(), { to: 'two', deadlineMs: 1_000 });
      same(await stream.next(), { value: 1, done: false }, 'a first reply');
      await soon(
        'the deadline',
        failsWith('timeout', () => stream.next()),
      );
      same(told(await stream.outcome), 'unknown, seen true', 'nobody knows');
      await eventually('the handler', () => seen !== null);
      holds(seen instanceof WaymarkError && seen.code === 'timeout', 'it is told why');
      await failsWith('invalid', () => one.sendStream([], { to: 'two', deadlineMs: 0 }));
      await failsWith('invalid', () => one.broadcastStream([], { deadlineMs: 600_001 }).next());
    },
  },
  {
    name: '[X12] a signal gives the stream up: its reason is thrown, the handler is told',
    async run(context) {
      let seen: unknown = null;
      const { one } = await pair(context, async function* (stream) {
        yield 'ready';
        stream.signal.addEventListener('abort', () => (seen = stream.signal.reason));
        for await (const part of stream) yield part;
      });
      const silent = async function* (): AsyncGenerator<number> {
        await new Promise(() => {});
        yield 1;
      };
      const giving = new AbortController();
      const stream = one.sendStream(silent(), { to: 'two', signal: giving.signal });
      same((await stream.next()).value, 'ready', 'it has begun');
      const reason = new Error('enough');
      giving.abort(reason);
      const thrown = await soon(
        'the end',
        stream.next().catch((error: unknown) => error),
      );
      holds(thrown === reason, 'the own reason');
      same(told(await stream.outcome), 'unknown, seen true', 'nobody knows');
      await eventually('the handler', () => seen !== null);
      holds(seen instanceof WaymarkError && seen.code === 'lost', 'it is told');
      const never = one.sendStream([1], { to: 'two', signal: giving.signal });
      same(told(await never.outcome), 'refused, seen false', 'given up before');
    },
  },
  {
    name: '[X13] a stream to the leader goes under its term; a deposed leader is handed no more of it',
    async run({ a, b, another }) {
      const sender = await a.namespace('n').members(group).join({ id: 'sender' });
      const terms: (number | null)[] = [];
      const read: unknown[] = [];
      const handleStream: StreamHandler = async function* (stream) {
        terms.push(stream.term);
        for await (const part of stream) {
          read.push(part);
          yield part;
        }
      };
      const waiting = sender.sendStream([1]);
      const members = b.namespace('n').members(group);
      const first = await members.join({ id: 'first', lead: true, handleStream });
      same((await soon('the outcome', waiting.outcome)).member, 'first', 'it waits for a leader');
      let go = (): void => {};
      const deposed = new Promise<void>((resolve) => (go = resolve));
      const pinned = async function* (): AsyncGenerator<number> {
        yield 2;
        await deposed;
        yield 3;
      };
      const stream = sender.sendStream(pinned());
      same((await stream.next()).value, 2, 'while it leads');
      const next = (await another('next')).namespace('n').members(group);
      const second = await next.join({ id: 'second', lead: true, handleStream });
      await first.term()?.release();
      await second.elected();
      go();
      await soon(
        'the end',
        failsWith('uncertain', () => stream.next()),
      );
      same(told(await stream.outcome), 'unknown, seen true', 'cut off');
      same(read, [1, 2], 'none after its term');
      const after = sender.sendStream([4]);
      same((await soon('the second', after.outcome)).member, 'second', 'to whoever leads now');
      const [earlier = null, , later = null] = terms;
      holds(earlier !== null && later !== null && later > earlier, 'under growing terms');
    },
  },
  {
    name: '[X13] streams that nobody takes are refused unseen: no such member, none for streams, too many',
    async run(context) {
      const { one } = await pair(context, echo);
      const deaf = (await context.another('deaf')).namespace('n').members(group);
      await deaf.join({ id: 'deaf', handle: () => 'here' });
      for (const to of ['nobody', 'deaf']) {
        const stream = one.sendStream([1], { to });
        same(told(await stream.outcome), 'refused, seen false', to);
        await failsWith('failed', () => stream.next());
      }
      same((await one.sendTo('deaf', 1)).outcome, 'delivered', 'its messages are another matter');
      same(told(await one.sendStream([1], { to: '' }).outcome), 'refused, seen false', 'no id');
      const open = Array.from({ length: 100 }, () => {
        return one.sendStream(endless().parts, { to: 'two' });
      });
      for (const stream of open) await stream.next();
      const more = await one.sendStream([1], { to: 'two' }).outcome;
      same(told(more), 'refused, seen false', 'the 101st');
      holds(more.outcome === 'refused' && more.why.includes('100 streams'), 'and says why');
      for (const stream of open) await stream.return?.();
      await eventually('room', async () => {
        return (await one.sendStream([1], { to: 'two' }).outcome).outcome === 'delivered';
      });
    },
  },
  {
    name: '[X14] who leaves in the middle ends its streams, those it sends and those it is sent',
    async run(context) {
      const { one, two } = await pair(context, echo);
      const stream = one.sendStream(endless().parts, { to: 'two' });
      await stream.next();
      await soon('the member', two.release());
      await soon(
        'the end',
        failsWith('uncertain', async () => {
          for await (const _ of stream);
        }),
      );
      same(told(await stream.outcome), 'unknown, seen true', 'nobody knows');
      let left = false;
      const members = context.b.namespace('n').members(group);
      await members.join({
        id: 'three',
        handleStream: async function* (incoming) {
          try {
            yield* echo(incoming);
          } finally {
            left = true;
          }
        },
      });
      const source = endless();
      const other = one.sendStream(source.parts, { to: 'three' });
      await other.next();
      await soon('the sender', one.release());
      await soon(
        'its end',
        failsWith('lost', async () => {
          for await (const _ of other);
        }),
      );
      await eventually('the handler, and the parts', () => left && source.left);
      await failsWith('lost', () => one.sendStream([1], { to: 'three' }));
    },
  },
  {
    name: '[X16] a broadcast stream brings every member the same parts, and one outcome each, last',
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
];
