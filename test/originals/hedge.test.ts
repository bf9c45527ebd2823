import { expect, test } from 'vitest';
import { open, type Membership, type Reply } from 'waymark';
import { startServer } from '@waymark/server';
import { createMemoryEngine } from 'waymark/engine';
import { ServerProcess } from '../faults/server-process.js';
import { spaceOver } from '../support/spaces.js';
import { withServers } from '../support/two-servers.js';
import { fault, nsOf, waiting } from './fault.js';

/** The faults of hedge; the table of them is docs/spec/defects.md. */

fault(
  '[hedge 1] any member writes, in one order; who leads no more writes nothing under its term',
  async (to) => {
    const { a, b, spaces } = to;
    const writes = Array.from({ length: 100 }, (_, i) => (i % 2 ? a : b).log('/l').append(i));
    const positions = (await Promise.all(writes)).map(({ position }) => position);
    expect(positions.toSorted((x, y) => x - y)).toEqual(positions.map((_, i) => i + 1));
    const term = await a.election('/chief').campaign();
    await a.put('/state', 1, { hold: term });
    await term.release();
    await spaces.b.namespace('n').election('/chief').campaign();
    await expect(a.put('/state', 2, { hold: term })).rejects.toMatchObject({ code: 'lost' });
    expect((await b.get('/state'))?.value).toBe(1);
  },
);

test('[hedge 2] sending where nobody leads looks again after pauses that grow, until its deadline', async () => {
  await using engine = createMemoryEngine();
  await using space = spaceOver(engine, 'one');
  const member = await nsOf(space).members('/g').join();
  let reads = 0;
  const read = engine.read.bind(engine);
  engine.read = async (...args) => {
    reads++;
    return await read(...args);
  };
  const reply = await member.send('anybody?', { deadlineMs: 1_000 });
  expect(reply).toMatchObject({ outcome: 'refused', seen: false, member: null });
  expect(reads).toBeGreaterThan(1);
  expect(reads).toBeLessThan(20);
});

test('[hedge 3] every call ends by its deadline, also when the server stands still', async () => {
  await using server = await ServerProcess.start('memory');
  await using space = await open(server.url);
  const member = await nsOf(space)
    .members('/g')
    .join({ lead: true, handle: () => 'here' });
  expect((await member.send('ready?')).outcome).toBe('delivered');
  server.child.kill('SIGSTOP');
  const deadlineMs = 500;
  const began = performance.now();
  const outcomes = await Promise.all([
    member.send('x', { deadlineMs }).then(({ outcome }) => outcome),
    member.sendTo(member.id, 'x', { deadlineMs }).then(({ outcome }) => outcome),
    collect(member.broadcast('x', { deadlineMs })).catch(({ code }: { code: string }) => code),
    nsOf(space)
      .get('/a', { signal: AbortSignal.timeout(deadlineMs) })
      .catch(({ name }: Error) => name),
  ]);
  expect(performance.now() - began).toBeLessThan(10 * deadlineMs);
  server.child.kill('SIGCONT');
  expect(['refused', 'unknown']).toContain(outcomes[0]);
  expect(outcomes.slice(1)).toEqual(['unknown', 'timeout', 'TimeoutError']);
});

test('[hedge 4] a server that everybody can reach is refused unless it is asked for', async () => {
  const open = { listen: ['0.0.0.0:0'], engine: 'memory', logLevel: 'silent' };
  await expect(startServer(open)).rejects.toMatchObject({ code: 'denied' });
});

fault('[hedge 4] names are data, whatever they say in another language', async ({ a, b }) => {
  const id = "x'; DROP TABLE members; --";
  const one = await a.members("/g' OR '1'='1").join({ id });
  expect((await b.members("/g' OR '1'='1").list()).members).toMatchObject([{ id }]);
  expect((await b.members('/g').list()).members).toEqual([]);
  await one.release();
});

fault(
  '[hedge 5] permits are served in order, several to a process, and each goes with its own lease',
  async (to) => {
    const { a, b, spaces } = to;
    const [one, two] = [a.semaphore('/pool', { limit: 2 }), b.semaphore('/pool', { limit: 2 })];
    const held = [await one.acquire(), await one.acquire()];
    const order: string[] = [];
    const granted = ['first', 'second'].map(async (owner, i) => {
      await waiting(one, i);
      await two.acquire({ owner });
      order.push(owner);
    });
    await waiting(one, 2);
    // A process that comes back under the same name has not its permits.
    const again = (await spaces.another('a')).namespace('n').semaphore('/pool');
    expect(await again.tryAcquire()).toBe(null);
    for (const permit of held) expect(await permit.release()).toBe(true);
    await Promise.all(granted);
    expect(order).toEqual(['first', 'second']);
    expect((await again.status())?.used).toBe(2);
  },
);

fault('[hedge 6] no word is kept from those who use it', async ({ a, b }) => {
  const path = '/__hedge/semaphore/pool';
  await a.log(path).append({ '-': 'limit=1' });
  await a.put(`${path}/__caller=host:80`, 'mine');
  expect(await b.semaphore(path).status()).toBe(null);
  await b.semaphore(path, { limit: 1 }).acquire();
  expect(await b.log(path).latest()).toMatchObject({ position: 1, value: { '-': 'limit=1' } });
  expect((await b.get(`${path}/__caller=host:80`))?.value).toBe('mine');
});

fault(
  '[hedge 7] every join and leave is told at once, in order; who is gone does not come back',
  async (to) => {
    const { a, b } = to;
    const views = b.members('/g').watch();
    await views.next();
    const seen: string[] = [];
    for (let round = 0; round < 10; round++) {
      const one = await a.members('/g').join({ id: `m${round}` });
      const joined = (await views.next()).value as { members: readonly { id: string }[] };
      await one.release();
      const left = (await views.next()).value as { members: readonly { id: string }[] };
      seen.push(...joined.members.map(({ id }) => id));
      expect(left.members).toEqual([]);
    }
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => `m${i}`));
    await views.return?.();
  },
);

fault('[hedge 8] messages of many senders at once have each its own reply', async ({ spaces }) => {
  const leader = nsOf(spaces.a).members('/g');
  const handle = ({ from, body }: { from: string; body: unknown }): string => `${from} ${body}`;
  await (await leader.join({ id: 'chief', lead: true, handle })).elected();
  const senders: Membership[] = [];
  for (let i = 0; i < 5; i++) {
    const space = await spaces.another(`s${i}`);
    senders.push(
      await nsOf(space)
        .members('/g')
        .join({ id: `s${i}` }),
    );
  }
  const sent = senders.flatMap((sender) =>
    Array.from({ length: 50 }, async (_, i) => [
      await sender.send(i),
      { outcome: 'delivered', member: 'chief', value: `${sender.id} ${i}` },
    ]),
  );
  for (const [reply, expected] of await Promise.all(sent)) expect(reply).toEqual(expected);
});

test('[hedge 9] no two servers need the same port', async () => {
  await withServers(async (first, second) => {
    expect(new URL(first.url).port).not.toBe(new URL(second.url).port);
    await using one = await first.client('one');
    await using two = await second.client('two');
    const member = await nsOf(one).members('/g').join({ id: 'one' });
    await nsOf(two)
      .members('/g')
      .join({ id: 'two', handle: () => 'from there' });
    expect(await member.sendTo('two', 'ready?')).toMatchObject({ value: 'from there' });
  });
});

fault(
  '[hedge 11] a term goes along to what it protects, and is checked there',
  async ({ a, b }) => {
    const term = await a.election('/chief').campaign();
    await term.release();
    const next = await b.election('/chief').campaign();
    expect(next.token).toBeGreaterThan(term.token);
    const hold = { path: '/chief', token: term.token };
    await expect(a.put('/resource', 'late', { hold })).rejects.toMatchObject({ code: 'lost' });
    await b.put('/resource', 'mine', { hold: next });
    expect((await a.get('/resource'))?.value).toBe('mine');
  },
);

async function collect(replies: AsyncIterable<Reply>): Promise<string> {
  const outcomes: string[] = [];
  for await (const { outcome } of replies) outcomes.push(outcome);
  return outcomes.join();
}
