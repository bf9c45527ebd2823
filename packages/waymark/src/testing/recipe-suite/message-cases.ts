import type { Message, Reply } from '../../space/message-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

const group = '/workers';

/** What a reply says, without its words. */
function told(reply: Reply): unknown {
  return reply.outcome === 'delivered' ? reply.value : `${reply.outcome}, seen ${reply.seen}`;
}

function valueOf(reply: Reply): unknown {
  holds(reply.outcome === 'delivered', 'delivered');
  return reply.outcome === 'delivered' ? reply.value : undefined;
}

async function collected(replies: AsyncIterable<Reply>): Promise<ReadonlyMap<string, unknown>> {
  const all = new Map<string, unknown>();
  for await (const reply of replies) {
    holds(reply.member !== null && !all.has(reply.member), 'one reply a member');
    all.set(reply.member, told(reply));
  }
  return all;
}

export const messageCases: readonly RecipeCase[] = [
  {
    name: '[X1] a member sends to another by its id, and has its reply',
    async run({ a, b }) {
      const one = await a.namespace('n').members(group).join({ id: 'one' });
      await b
        .namespace('n')
        .members(group)
        .join({ id: 'two', handle: ({ from, body }) => ({ from, body }) });
      await eventually('the inbox', async () => {
        return (await one.sendTo('two', 'ready?')).outcome === 'delivered';
      });
      const reply = await one.sendTo('two', { work: 1 });
      same(told(reply), { from: 'one', body: { work: 1 } }, 'what the handler returned');
      same(told(await one.sendTo('three', 1)), 'refused, seen false', 'nobody of that id');
    },
  },
  {
    name: '[X3] what a handler throws is a refusal in its words, and silence is unknown',
    async run({ a, b }) {
      const one = await a.namespace('n').members(group).join({ id: 'one' });
      let finish = (): void => {};
      const handle = async ({ body }: { readonly body: unknown }): Promise<void> => {
        if (body === 'throw') throw new Error('not today');
        if (body === 'hang') await new Promise<void>((resolve) => (finish = resolve));
      };
      await b.namespace('n').members(group).join({ id: 'two', handle });
      await eventually('the inbox', async () => {
        return (await one.sendTo('two', 'ready?')).outcome === 'delivered';
      });
      const thrown = await one.sendTo('two', 'throw');
      same(told(thrown), 'refused, seen true', 'the handler said no');
      holds(thrown.outcome === 'refused' && thrown.why === 'not today', 'in its words');
      const hung = await one.sendTo('two', 'hang', { deadlineMs: 50 });
      same(told(hung), 'unknown, seen true', 'no answer came');
      finish();
    },
  },
  {
    name: '[X7] a message to the leader waits for one, and is handled under its term',
    async run({ a, b, another }) {
      const sender = await a.namespace('n').members(group).join({ id: 'sender' });
      const sent = sender.send('work');
      const terms: (number | null)[] = [];
      const handle = ({ term }: { readonly term: number | null }): string => {
        terms.push(term);
        return 'done';
      };
      const first = await b.namespace('n').members(group).join({ id: 'first', lead: true, handle });
      same(told(await soon('the first reply', sent)), 'done', 'delivered');
      const next = (await another('next')).namespace('n').members(group);
      const second = await next.join({ id: 'second', lead: true, handle });
      await first.release();
      const after = await soon('the second reply', sender.send('work'));
      same(after.member, 'second', 'to whoever leads now');
      const [earlier = null, later = null] = terms;
      holds(terms.length === 2 && earlier !== null && later !== null, 'each message once');
      holds(later > earlier, 'under growing terms');
      await second.release();
      same(
        told(await sender.send('work', { deadlineMs: 100 })),
        'refused, seen false',
        'nobody leads any more',
      );
    },
  },
  {
    name: '[X8] a broadcast gives one reply per member of the view, the own one included unless told otherwise',
    async run({ a, b, another }) {
      const handle = ({ body }: { readonly body: unknown }): unknown => body;
      const one = await a.namespace('n').members(group).join({ id: 'one', handle });
      await b.namespace('n').members(group).join({ id: 'two', handle });
      const deaf = (await another('deaf')).namespace('n').members(group);
      await deaf.join({ id: 'deaf' });
      const refused = 'refused, seen false';
      await eventually('the inboxes', async () => {
        const replies = await collected(one.broadcast('ready?'));
        return replies.get('one') === 'ready?' && replies.get('two') === 'ready?';
      });
      same(
        [...(await collected(one.broadcast('all')))].sort(),
        [
          ['deaf', refused],
          ['one', 'all'],
          ['two', 'all'],
        ],
        'everybody',
      );
      const others = await collected(one.broadcast('others', { skipSelf: true }));
      same([...others.keys()].sort(), ['deaf', 'two'], 'all but the sender');
      const some = await collected(one.broadcast('some', { only: ['two', 'gone'] }));
      same(
        [...some].sort(),
        [
          ['gone', refused],
          ['two', 'some'],
        ],
        'only those named',
      );
    },
  },
  {
    name: '[X4] who leaves answers what it is handling; closed resolves after its handlers',
    async run({ a, b }) {
      const one = await a.namespace('n').members(group).join({ id: 'one' });
      let finish = (): void => {};
      let begun = false;
      let handled = false;
      const handle = async ({ body }: { readonly body: unknown }): Promise<string> => {
        if (body !== 'work') return 'ready';
        begun = true;
        await new Promise<void>((resolve) => (finish = resolve));
        handled = true;
        return 'done';
      };
      const leaving = new AbortController();
      const members = b.namespace('n').members(group);
      const two = await members.join({ id: 'two', handle, signal: leaving.signal });
      const closed = two.closed.then(() => handled);
      await eventually('the inbox', async () => {
        return (await one.sendTo('two', 'ready?')).outcome === 'delivered';
      });
      const sent = one.sendTo('two', 'work');
      await eventually('the work', () => begun);
      leaving.abort();
      finish();
      same(told(await soon('the reply', sent)), 'done', 'answered');
      same(await soon('the end', closed), true, 'after its handler');
    },
  },
  {
    name: '[X6] a message and a reply of 1 MiB are delivered; a larger message is refused before any work, a larger reply instead of it',
    async run({ a, b }) {
      const one = await a.namespace('n').members(group).join({ id: 'one' });
      const handle = ({ body }: { readonly body: unknown }): unknown =>
        body === 'more' ? 'x'.repeat(1_048_577) : String(body).length;
      await b.namespace('n').members(group).join({ id: 'two', handle });
      const largest = 'x'.repeat(1_048_574);
      await eventually('the inbox', async () => {
        return (await one.sendTo('two', 'ready?')).outcome === 'delivered';
      });
      same(told(await one.sendTo('two', largest)), largest.length, 'quotes and all 1 MiB');
      await failsWith('too_large', () => one.sendTo('two', `${largest}x`));
      await failsWith('invalid', () => one.sendTo('two', 1, { deadlineMs: 0 }));
      const parrot = ({ body }: Message): string => 'x'.repeat(Number(body));
      await b.namespace('n').members(group).join({ id: 'three', handle: parrot });
      const reply = valueOf(await one.sendTo('three', largest.length));
      same(String(reply).length, largest.length, 'a reply of 1 MiB');
      const over = await one.sendTo('three', largest.length + 1);
      same(told(over), 'refused, seen true', 'a larger reply');
      holds(over.outcome === 'refused' && over.why.includes('1048577 bytes'), 'in words');
    },
  },
  {
    name: '[X9] a guest sends to the leader, to one and to all without being a member, and is told apart from one',
    async run({ a, b }) {
      const handle = ({ from, guest, kind, term }: Message): unknown => ({
        from,
        guest,
        kind,
        led: term !== null,
      });
      await a.namespace('n').members(group).join({ id: 'one', lead: true, handle });
      const guests = b.namespace('n').members(group, { owner: 'visitor' });
      const told = { from: 'visitor', guest: true };
      const led = await soon('the reply', guests.send('work'));
      same(valueOf(led), { ...told, kind: 'send', led: true }, 'by the leader');
      const one = await guests.sendTo('one', 'work');
      same(valueOf(one), { ...told, kind: 'send', led: false }, 'by the one');
      const all = await collected(guests.broadcast('all', { skipSelf: true }));
      same([...all], [['one', { ...told, kind: 'broadcast', led: false }]], 'by all');
      same((await guests.list()).members.length, 1, 'the guest is no member');

      // Called like a member it still is none: nobody is skipped for it.
      const namesake = b.namespace('n').members(group, { owner: 'one' });
      same((await collected(namesake.broadcast('all', { skipSelf: true }))).size, 1, 'one');
      const two = await b.namespace('n').members(group).join({ id: 'two' });
      const member = valueOf(await two.sendTo('one', 'work')) as { readonly guest: boolean };
      same(member.guest, false, 'a member is no guest');
    },
  },
  {
    name: '[X9] a guest is shown by the owner name of its space, and its calls are checked like those of a member',
    async run({ a, b }) {
      let seen = 0;
      const handle = ({ from }: Message): unknown => (seen++, from);
      await a.namespace('n').members(group).join({ id: 'one', handle });
      const guests = b.namespace('n').members(group);
      same(valueOf(await guests.sendTo('one', 'who?')), b.owner, 'by its space');
      await failsWith('too_large', () => guests.sendTo('one', 'x'.repeat(1_048_576)));
      await failsWith('invalid', () => guests.send('x', { deadlineMs: 600_001 }));
      await failsWith('invalid', () => guests.sendTo('', 'x'));
      await failsWith('invalid', () => collected(guests.broadcast('x', { only: ['one', ''] })));
      await failsWith('too_large', async () => {
        b.namespace('n').members(group, { owner: 'x'.repeat(257) });
      });
      await guests.sendTo('one', 'and now?');
      same(seen, 2, 'what is refused is sent to nobody');
    },
  },
  {
    name: '[X5] a sender that waits no more is let go, and what nobody took by then is never handed out',
    async run({ a, b }) {
      const seen: unknown[] = [];
      let finish = (): void => {};
      const handle = async ({ body }: Message): Promise<void> => {
        seen.push(body);
        if (body === 'hang') await new Promise<void>((resolve) => (finish = resolve));
      };
      await a.namespace('n').members(group).join({ id: 'one', handle });
      const guests = b.namespace('n').members(group);
      const gone = new AbortController();
      const reason = new Error('gone');
      const sent = guests.sendTo('one', 'hang', { signal: gone.signal });
      await eventually('the message', () => seen.includes('hang'));
      gone.abort(reason);
      const leader = guests.send('nobody leads', { signal: gone.signal });
      for (const call of [sent, leader]) {
        const thrown = await soon(
          'the end',
          call.then(null, (error: unknown) => error),
        );
        same(thrown, reason, 'its own reason');
      }
      const late = guests.sendTo('one', 'late', { signal: gone.signal });
      same(
        await soon(
          'the end',
          late.then(null, (error: unknown) => error),
        ),
        reason,
        'refused',
      );
      finish();
      same(told(await guests.sendTo('one', 'next')), null, 'goes on');
      same(seen, ['hang', 'next'], 'nothing else was handed out');
    },
  },
];
