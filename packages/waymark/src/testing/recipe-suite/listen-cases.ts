import type { Reply } from '../../space/message-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import { echo, numbers } from './stream-parts.js';
import type { RecipeCase } from './suite.js';

const group = '/listeners';
const listen = '127.0.0.1:0';

function told(reply: Reply): unknown {
  return reply.outcome === 'delivered' ? reply.value : `${reply.outcome}, seen ${reply.seen}`;
}

export const listenCases: readonly RecipeCase[] = [
  {
    name: '[X20] who listens and who does not send to each other, to the leader and to all',
    async run({ a, b, another }) {
      const handle =
        (id: string) =>
        ({ from, body }: { readonly from: string; readonly body: unknown }) =>
          `${id} had ${String(body)} from ${from}`;
      const one = await a
        .namespace('n')
        .members(group)
        .join({ id: 'one', listen, handle: handle('one') });
      const two = await b
        .namespace('n')
        .members(group)
        .join({ id: 'two', lead: true, listen, handle: handle('two') });
      const third = (await another('third')).namespace('n').members(group);
      const three = await third.join({ id: 'three', handle: handle('three') });
      holds(one.listens?.startsWith('127.0.0.1:'), 'it says where');
      same(three.listens, null, 'who does not listen');
      const { members } = await third.list();
      const addresses = members.map(({ address }) => address);
      same(addresses, [one.listens, null, two.listens], 'others see where');
      for (const from of [one, two, three]) {
        for (const to of ['one', 'two', 'three']) {
          same(told(await from.sendTo(to, 'x')), `${to} had x from ${from.id}`, `to ${to}`);
        }
        same(told(await from.send('y')), `two had y from ${from.id}`, 'to the leader');
        const replies = new Set<unknown>();
        for await (const reply of from.broadcast('z')) replies.add(told(reply));
        same(replies.size, 3, 'all replied');
        for (const to of ['one', 'two', 'three']) {
          holds(replies.has(`${to} had z from ${from.id}`), `${to} replied`);
        }
      }
      await two.release();
      same(told(await one.sendTo('two', 'x')), 'refused, seen false', 'it has left');
    },
  },
  {
    name: '[X20] streams go to who listens as well, with a token',
    async run({ a, b }) {
      const token = 'shared';
      const call = { id: 'two', listen, token, lead: true, handleStream: echo };
      const two = await b.namespace('n').members(group).join(call);
      await two.elected();
      const one = await a.namespace('n').members(group).join({ id: 'one', token });
      for (const to of ['two', undefined]) {
        const stream = one.sendStream<number>(numbers(2_000), { to });
        let next = 0;
        for await (const part of stream) same(part, next++, 'in order');
        same(next, 2_000, 'all of them');
        same((await stream.outcome).outcome, 'delivered', 'to its end');
      }
      const stranger = await a.namespace('n').members(group).join({ id: 'three' });
      const refused = stranger.sendStream(numbers(1), { to: 'two' });
      same((await soon('the outcome', refused.outcome)).outcome, 'refused', 'without the token');
    },
  },
  {
    name: '[X21] who listens with a token takes messages of those who have it',
    async run({ a, b }) {
      const handle = (): string => 'taken';
      const token = 'shared';
      const members = b.namespace('n').members(group);
      await members.join({ id: 'two', listen, token, handle });
      const friend = await a.namespace('n').members(group).join({ id: 'friend', token });
      same(told(await friend.sendTo('two', 'x')), 'taken', 'with the token');
      for (const other of [undefined, 'other']) {
        const stranger = await a.namespace('n').members(group).join({ token: other });
        same(told(await stranger.sendTo('two', 'x')), 'refused, seen false', 'without it');
      }
    },
  },
  {
    name: '[X26] a membership that listens leaves on its signal: what it is handling is answered, then closed resolves',
    async run({ a, b }) {
      const one = await a.namespace('n').members(group).join({ id: 'one' });
      let finish = (): void => {};
      let begun = false;
      let handled = false;
      const handle = async (): Promise<string> => {
        begun = true;
        await new Promise<void>((resolve) => (finish = resolve));
        handled = true;
        return 'done';
      };
      const leaving = new AbortController();
      const members = b.namespace('n').members(group);
      const { signal } = leaving;
      const two = await members.join({ id: 'two', listen, handle, signal });
      let over = false;
      const closed = two.closed.then(() => (over = handled));
      const sent = one.sendTo('two', 'work');
      await eventually('the work', () => begun);
      leaving.abort();
      let turns = 0;
      await eventually('some turns', () => ++turns > 50);
      holds(!over && !handled, 'it is not over while a handler works');
      finish();
      same(told(await soon('the reply', sent)), 'done', 'answered');
      same(await soon('the end', closed), true, 'after its handler');
      same(told(await one.sendTo('two', 'x')), 'refused, seen false', 'it has left');
      same((await members.list()).members.length, 1, 'and is no member');
      const aborted = members.join({ id: 'two', listen, handle, signal });
      await aborted.then(
        () => holds(false, 'an aborted join does not join'),
        (error: unknown) => same(error, signal.reason, 'the reason of the signal'),
      );
      await failsWith('invalid', () => members.join({ listen }));
    },
  },
];
