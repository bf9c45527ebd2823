import { expect, test } from 'vitest';
import type { Reply, Space } from 'waymark';
import { withServers } from '../support/two-servers.js';

function outcome(reply: Reply): unknown {
  return reply.outcome === 'delivered' ? reply.value : reply.outcome;
}

async function ready(send: () => Promise<Reply>): Promise<void> {
  const late = AbortSignal.timeout(10_000);
  while ((await send()).outcome !== 'delivered') late.throwIfAborted();
}

test('[X1] clients of two servers send to each other; the servers relay', async () => {
  await withServers(async (first, second) => {
    await using a = await first.client('a');
    await using b = await second.client('b');
    const one = await a
      .namespace('n')
      .members('/g')
      .join({ id: 'one', handle: () => 'from one' });
    const two = await b
      .namespace('n')
      .members('/g')
      .join({ id: 'two', handle: () => 'from two' });
    await ready(() => one.sendTo('two', 'ready?'));
    await ready(() => two.sendTo('one', 'ready?'));
    expect(outcome(await one.sendTo('two', 1))).toBe('from two');
    expect(outcome(await two.sendTo('one', 1))).toBe('from one');
  });
});

test('[X2] 2 000 messages over two servers are handed on in the order in which they were sent', async () => {
  await withServers(async (first, second) => {
    await using a = await first.client('a');
    await using b = await second.client('b');
    const seen: unknown[] = [];
    const handle = ({ body }: { readonly body: unknown }): void => void seen.push(body);
    const one = await a.namespace('n').members('/g').join({ id: 'one' });
    await b.namespace('n').members('/g').join({ id: 'two', handle });
    await ready(() => one.sendTo('two', -1));
    seen.length = 0;
    for (let batch = 0; batch < 4; batch++) {
      const sent = Array.from({ length: 500 }, (_, at) => one.sendTo('two', batch * 500 + at));
      expect((await Promise.all(sent)).every((reply) => reply.outcome === 'delivered')).toBe(true);
    }
    expect(seen).toEqual(Array.from({ length: 2_000 }, (_, at) => at));
  });
});

test('[X8] a broadcast to 100 members of two servers: one reply each, also when a server ends meanwhile', async () => {
  await withServers(async (first, second) => {
    const spaces: Space[] = [];
    const ids: string[] = [];
    for (let at = 0; at < 20; at++) {
      const space = await (at % 2 === 0 ? first : second).client(`client-${at}`);
      spaces.push(space);
      for (let i = 0; i < 5; i++) {
        const id = `${at}-${i}`;
        ids.push(id);
        const members = space.namespace('n').members('/g');
        await members.join({ id, handle: ({ body }) => `${id} ${String(body)}` });
      }
    }
    const space = await first.client('sender');
    spaces.push(space);
    const sender = await space.namespace('n').members('/g').join({ id: 'sender' });
    const all = async (deadlineMs: number): Promise<Map<string, unknown>> => {
      const replies = new Map<string, unknown>();
      for await (const reply of sender.broadcast('x', { skipSelf: true, deadlineMs })) {
        expect(replies.has(String(reply.member))).toBe(false);
        replies.set(String(reply.member), outcome(reply));
      }
      return replies;
    };
    const late = AbortSignal.timeout(10_000);
    while ([...(await all(5_000)).values()].includes('refused')) late.throwIfAborted();
    expect(await all(5_000)).toEqual(new Map(ids.map((id) => [id, `${id} x`])));
    const ending = second.close();
    const replies = await all(2_000);
    await ending;
    expect([...replies.keys()].sort()).toEqual([...ids].sort());
    for (const [id, reply] of replies) {
      const own = Number(id.split('-')[0]) % 2 === 0;
      expect(own ? [`${id} x`] : [`${id} x`, 'refused', 'unknown']).toContain(reply);
    }
    await Promise.all(spaces.map((space) => space.close()));
  });
});
