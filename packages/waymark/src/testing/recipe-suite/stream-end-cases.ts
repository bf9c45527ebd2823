import { WaymarkError } from '../../core/errors.js';
import { groupLeaderFacet, placeFacetRange } from '../../space/layout.js';
import type { HostNamespace } from '../../space/namespace.js';
import type { HostSpace } from '../../space/space.js';
import type { StreamHandler } from '../../space/stream-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import { echo, endless, group, pair, told } from './stream-parts.js';
import type { RecipeCase } from './suite.js';

/** How streams end, and whom they never reach. */
export const streamEndCases: readonly RecipeCase[] = [
  {
    name: '[X13] a stream ends by its deadline, on both sides',
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
    name: '[X13] a signal gives the stream up: its reason is thrown, the handler is told',
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
    name: '[X14] a stream to the leader goes under its term; a deposed leader is handed no more of it',
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
      same((await soon('the echo', stream.next())).value, 2, 'while it leads');
      const next = (await another('next')).namespace('n') as HostNamespace<unknown>;
      const second = await next.members(group).join({ id: 'second', lead: true, handleStream });
      // Whoever resigns stands again at once, and leads again where nobody stood before.
      const { key, end = '' } = placeFacetRange('x');
      const places = { key: groupLeaderFacet + key, end: groupLeaderFacet + end };
      await eventually(
        'the second stands',
        async () => (await next.host.read(next.name, places)).count === 1,
      );
      same(await soon('the resignation', Promise.resolve(first.term()?.release())), true, 'it led');
      await soon('the next term', second.elected());
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
    name: '[X14] streams that nobody takes are refused unseen: no such member, none for streams, too many',
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
    name: '[X15] who leaves in the middle ends its streams, those it sends and those it is sent',
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
    name: '[X15] a lease that ends in the middle ends the streams of its member, on both sides',
    async run(context) {
      const ends: unknown[] = [];
      const { one } = await pair(context, async function* (stream) {
        stream.signal.addEventListener('abort', () => ends.push(stream.signal.reason));
        yield* echo(stream);
      });
      const { members } = await context.a.namespace('n').members(group).list();
      for (const id of ['two', 'one']) {
        const source = endless();
        const stream = one.sendStream(source.parts, { to: 'two' });
        await stream.next();
        const lease = members.find((member) => member.id === id)?.lease ?? 0;
        await (context.b as HostSpace).host.revoke(lease);
        await soon(
          'the end',
          failsWith(id === 'two' ? 'uncertain' : 'lost', async () => {
            for await (const _ of stream);
          }),
        );
        same(told(await stream.outcome), 'unknown, seen true', 'nobody knows');
        await eventually('the parts are left, and the handler is told', () => {
          return source.left && ends.length > 0;
        });
        const end = ends.pop();
        holds(end instanceof WaymarkError && end.code === 'lost', 'why');
        if (id === 'one') continue;
        const again = (await context.another('again')).namespace('n').members(group);
        await again.join({
          id: 'two',
          async *handleStream(incoming) {
            incoming.signal.addEventListener('abort', () => ends.push(incoming.signal.reason));
            yield* echo(incoming);
          },
        });
      }
    },
  },
];
