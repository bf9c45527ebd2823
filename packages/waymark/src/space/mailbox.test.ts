import { expect, test } from 'vitest';
import type { LeaseId } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { systemClock } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { join, leave } from '../recipes/members.js';
import * as calls from '../recipes/messages.js';
import * as streams from '../recipes/streams.js';
import type { Delivery } from '../recipes/outgoing.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { createLocalHost } from './local-host.js';
import { Mailbox } from './mailbox.js';

/** Two hosts over one engine, each of which reaches the other. */
async function withHosts(run: (a: Host, b: Host) => Promise<void>): Promise<void> {
  await using engine = createMemoryEngine();
  const hosts = new Map<string, Host>();
  const make = (name: string): Host => {
    const reach = async (address: string): Promise<Host> => {
      const other = hosts.get(address);
      if (other === undefined) throw new Error(`nobody at ${address}`);
      return Object.assign(Object.create(other) as Host, {
        run: other.run.bind(other),
        [Symbol.asyncDispose]: async () => {},
      });
    };
    // Of another process, so far as they can tell: each has the engine by an object of its own.
    const own = new ForwardingEngine(engine);
    const host = createLocalHost(own, { address: () => name, reach });
    hosts.set(name, host);
    return host;
  };
  await using a = make('a');
  await using b = make('b');
  await run(a, b);
}

async function mailboxAt(
  host: Host,
  member: string,
  handle: (body: string) => Promise<string>,
): Promise<Mailbox> {
  const lease = await joined(host, member);
  const group = '/g';
  const parts = { host, clock: systemClock, namespace: 'n', group, member, lease };
  const box = new Mailbox({
    ...parts,
    refuse: () => undefined,
    handle: ({ body }) => handle(body),
  });
  const inbox = { key: 'm/g\0', end: 'm/g\x01' };
  while ((await host.read('n', inbox)).entries.every(({ key }) => !key.endsWith(member))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return box;
}

/** By then it waits for messages, and has no reason to note its address again. */
async function waits(box: Mailbox): Promise<void> {
  await box.opened;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function joined(host: Host, member: string): Promise<LeaseId> {
  const { id: lease } = await host.grant(60_000);
  const args = { id: 'one', lease, owner: 'test', session: 'one', group: '/g', member };
  await host.run(join, 'n', { ...args, address: undefined, meta: undefined });
  return lease;
}

function send(host: Host, member: string, body: string, deadlineMs = 5_000): Promise<Delivery> {
  const message = {
    from: 'test',
    guest: true,
    kind: 'send',
    term: undefined,
    relayed: false,
  } as const;
  return host.run(calls.deliver, 'n', { group: '/g', member, ...message, body, deadlineMs });
}

test('[X1] a message reaches a member wherever it takes its messages, and its reply comes back', async () => {
  await withHosts(async (a, b) => {
    const box = await mailboxAt(a, 'm', async (body) => `${body}!`);
    for (const from of [a, b]) {
      expect(await send(from, 'm', 'hello')).toEqual({
        outcome: 'delivered',
        seen: true,
        body: 'hello!',
        why: '',
      });
    }
    await box.close();
    expect((await send(b, 'm', 'late')).outcome).toBe('refused');
  });
});

test('[X2] messages of one sender are handed to the handler in the order in which they were sent', async () => {
  await withHosts(async (a, b) => {
    const seen: string[] = [];
    const box = await mailboxAt(a, 'm', async (body) => {
      seen.push(body);
      return '';
    });
    const bodies = Array.from({ length: 500 }, (_, at) => String(at));
    await Promise.all(bodies.map((body) => send(b, 'm', body)));
    expect(seen).toEqual(bodies);
    await box.close();
  });
});

test('[X3] what a handler refuses is refused, what it leaves unanswered is unknown: never delivered', async () => {
  await withHosts(async (a, b) => {
    let finish = (): void => {};
    const box = await mailboxAt(a, 'm', async (body) => {
      if (body === 'no') throw new Error('not today');
      await new Promise<void>((resolve) => (finish = resolve));
      return 'too late';
    });
    expect(await send(b, 'm', 'no')).toMatchObject({
      outcome: 'refused',
      seen: true,
      why: 'not today',
    });
    expect((await send(b, 'm', 'hang', 30)).outcome).toBe('unknown');
    expect(await send(b, 'nobody', 'hello')).toMatchObject({ outcome: 'refused', seen: false });
    finish();
    await box.close();
  });
});

test('[X4] a member that leaves answers what it is handling', async () => {
  await withHosts(async (a, b) => {
    let begin = (): void => {};
    let finish = (): void => {};
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const box = await mailboxAt(a, 'm', async () => {
      begin();
      await finished;
      return 'done';
    });
    const answer = send(b, 'm', 'work');
    await begun;
    const closed = box.close();
    finish();
    expect(await answer).toMatchObject({ outcome: 'delivered', body: 'done' });
    await closed;
  });
});

test('[X5] a message that nobody takes in time was refused, and one too large never leaves', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const aborted = new AbortController();
    const taking = a.run(
      calls.take,
      'n',
      { group: '/g', member: 'm', lease, answers: [] },
      aborted,
    );
    await expect(send(b, 'm', 'x'.repeat(1_048_577))).rejects.toMatchObject({
      code: 'too_large',
      facts: { limit: 'messageBytesMax' },
    });
    const first = send(b, 'm', 'taken', 60);
    expect(await taking).toHaveLength(1);
    expect((await send(b, 'm', 'left', 30)).outcome).toBe('refused');
    expect((await first).outcome).toBe('unknown');
  });
});

test('[X4] when the lease of a member ends, what it was handed is unknown at once, though it asks for more', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const member = { group: '/g', member: 'm', lease };
    await a.run(calls.open, 'n', member);
    const first = send(b, 'm', 'taken', 600_000);
    expect(await a.run(calls.take, 'n', { ...member, answers: [] })).toHaveLength(1);
    const asking = a.run(calls.take, 'n', { ...member, answers: [] });
    await a.revoke(lease);
    expect(await first).toMatchObject({ outcome: 'unknown', seen: true });
    expect(await asking).toEqual([]);
    expect(await send(b, 'm', 'late')).toMatchObject({ outcome: 'refused', seen: false });
  });
});

test('[X4] nothing is handed out to who asks no more: the next to ask gets it', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const member = { group: '/g', member: 'm', lease };
    const gone = new AbortController();
    const taking = a.run(calls.take, 'n', { ...member, answers: [] }, { signal: gone.signal });
    const caught = taking.catch((error: unknown) => error);
    while ((await a.read('n', { key: 'm/g\0', end: 'm/g\x01' })).entries.length < 1);
    gone.abort();
    const sent = send(b, 'm', 'kept');
    expect(await caught).toBe(gone.signal.reason);
    const [message] = await a.run(calls.take, 'n', { ...member, answers: [] });
    expect(message?.body).toBe('kept');
    const answers = [{ id: message?.id ?? 0, taken: true, seen: true, body: 'had', why: '' }];
    await a.run(calls.reply, 'n', { ...member, answers });
    expect(await sent).toMatchObject({ outcome: 'delivered', body: 'had' });
  });
});

test('[X5] a sender that waits no more takes its message along, where nobody has taken it', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const member = { group: '/g', member: 'm', lease };
    await a.run(calls.open, 'n', member);
    const gone = new AbortController();
    const args = { group: '/g', member: 'm', from: 'test', guest: true, kind: 'send' } as const;
    const rest = { term: undefined, relayed: false, deadlineMs: 60_000 };
    const sent = [a, b].map((host) =>
      host
        .run(calls.deliver, 'n', { ...args, ...rest, body: 'left' }, { signal: gone.signal })
        .catch((error: unknown) => error),
    );
    const kept = send(b, 'm', 'kept');
    gone.abort();
    expect(await Promise.all(sent)).toEqual([gone.signal.reason, gone.signal.reason]);
    const taken = await a.run(calls.take, 'n', { ...member, answers: [] });
    expect(taken.map(({ body }) => body)).toEqual(['kept']);
    await a.revoke(lease);
    expect((await kept).outcome).toBe('unknown');
  });
});

test.each([
  ['x'.repeat(257), 'too_large'],
  ['a\0b', 'invalid'],
])('[X10] who a message is from is checked where it comes in: %#', async (from, code) => {
  await withHosts(async (a) => {
    const args = { group: '/g', member: 'm', from, guest: true, kind: 'send', body: '' } as const;
    const rest = { term: undefined, relayed: false, deadlineMs: 1_000 };
    await expect(a.run(calls.deliver, 'n', { ...args, ...rest })).rejects.toMatchObject({ code });
  });
});

test('[X1] nobody is given the messages of a member without its lease', async () => {
  await withHosts(async (a, b) => {
    const box = await mailboxAt(a, 'm', async (body) => body);
    const { id: lease } = await b.grant(60_000);
    for (const call of [calls.open, calls.take]) {
      for (const member of ['m', 'nobody']) {
        const stolen = b.run<never, unknown>(call as never, 'n', {
          group: '/g',
          member,
          lease,
          answers: [],
        } as never);
        await expect(stolen).rejects.toMatchObject({ code: 'lost' });
      }
    }
    expect((await send(b, 'm', 'mine')).outcome).toBe('delivered');
    await box.close();
  });
});

test('[X14] nobody answers for a member, or makes it leave, without its lease', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    await a.run(calls.open, 'n', { group: '/g', member: 'm', lease });
    const sent = send(b, 'm', 'work');
    const [message] = await a.run(calls.take, 'n', {
      group: '/g',
      member: 'm',
      lease,
      answers: [],
    });
    const { id: other } = await b.grant(60_000);
    const answer = { id: message?.id ?? 0, taken: true, seen: true, body: 'forged', why: '' };
    for (const host of [a, b]) {
      const left = host.run(calls.leave, 'n', { group: '/g', member: 'm', lease: other });
      await expect(left).rejects.toMatchObject({ code: 'lost' });
    }
    const member = { group: '/g', member: 'm' };
    const forged = a.run(calls.reply, 'n', { ...member, lease: other, answers: [answer] });
    await expect(forged).rejects.toMatchObject({ code: 'lost' });
    const own = { ...answer, body: 'own' };
    await a.run(calls.reply, 'n', { ...member, lease, answers: [own] });
    expect(await sent).toMatchObject({ outcome: 'delivered', body: 'own' });
    expect(await a.run(calls.leave, 'n', { ...member, lease })).toBe(true);
    expect(await a.run(calls.leave, 'n', { ...member, lease })).toBe(false);
  });
});

test('[X14] a new life of a member begins with an empty inbox: the earlier one answers nothing of it', async () => {
  await withHosts(async (a, b) => {
    const former = await joined(a, 'm');
    const member = { group: '/g', member: 'm' };
    await a.run(calls.open, 'n', { ...member, lease: former });
    const waiting = send(b, 'm', 'to the former');
    await a.revoke(former);
    const lease = await joined(a, 'm');
    await a.run(calls.open, 'n', { ...member, lease });
    expect(await waiting).toMatchObject({ outcome: 'refused', seen: false });
    const sent = send(b, 'm', 'to the latter');
    const [message] = await a.run(calls.take, 'n', { ...member, lease, answers: [] });
    const answer = { id: message?.id ?? 0, taken: true, seen: true, body: 'mine', why: '' };
    const stale = a.run(calls.reply, 'n', { ...member, lease: former, answers: [answer] });
    await expect(stale).rejects.toMatchObject({ code: 'lost' });
    await a.run(calls.reply, 'n', { ...member, lease, answers: [answer] });
    expect(await sent).toMatchObject({ body: 'mine' });
  });
});

test('[X14] nobody opens a stream for a member without its lease, or for one that takes no messages', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const member = { group: '/g', member: 'm', deadlineMs: 1_000 };
    const early = a.run(streams.open, 'n', { ...member, lease });
    await expect(early).rejects.toMatchObject({ code: 'lost' });
    await a.run(calls.open, 'n', { group: '/g', member: 'm', lease });
    const { id: other } = await b.grant(60_000);
    const stolen = a.run(streams.open, 'n', { ...member, lease: other });
    await expect(stolen).rejects.toMatchObject({ code: 'lost' });
    const endless = a.run(streams.open, 'n', { ...member, lease, deadlineMs: 600_001 });
    await expect(endless).rejects.toMatchObject({ code: 'invalid' });
    expect(await a.run(streams.open, 'n', { ...member, lease })).toMatch(/^.{22}$/);
  });
});

test('[X26] who leaves late takes nothing from whoever has joined under its id meanwhile', async () => {
  await withHosts(async (a, b) => {
    for (const host of [a, b]) {
      const old = await mailboxAt(a, 'm', async () => 'old');
      await waits(old);
      const gone = { group: '/g', member: 'm', incarnation: undefined, id: 'one' };
      await a.run(leave, 'n', gone);
      const box = await mailboxAt(host, 'm', async () => 'new');
      await waits(box);
      await old.close();
      expect(await send(a, 'm', 'hello')).toMatchObject({ outcome: 'delivered', body: 'new' });
      await a.run(leave, 'n', gone);
      await box.close();
    }
  });
});

/** Counts the calls of a host by their names. */
function counted(host: Host): { readonly host: Host; readonly calls: Map<string, number> } {
  const counts = new Map<string, number>();
  const run: Host['run'] = (call, ...rest) => {
    counts.set(call.name, (counts.get(call.name) ?? 0) + 1);
    return host.run(call, ...rest);
  };
  return {
    host: Object.assign(Object.create(host) as Host, { run, read: host.read.bind(host) }),
    calls: counts,
  };
}

test('[X3] what is answered at once goes along with the next request, what takes longer in a call of its own', async () => {
  await withHosts(async (a, b) => {
    const { host, calls: made } = counted(a);
    const lease = await joined(a, 'm');
    let finish = (): void => {};
    const box = new Mailbox({
      host,
      clock: systemClock,
      namespace: 'n',
      group: '/g',
      member: 'm',
      lease,
      refuse: () => undefined,
      handle: ({ body }) =>
        body === 'slow'
          ? new Promise((resolve) => (finish = () => resolve('late')))
          : Promise.resolve(body),
    });
    await box.opened;
    for (let i = 0; i < 10; i++) expect((await send(b, 'm', `${i}`)).body).toBe(`${i}`);
    expect(made.get(calls.reply.name)).toBe(undefined);
    const slow = [send(b, 'm', 'slow')];
    expect((await send(b, 'm', 'quick')).body).toBe('quick');
    finish();
    expect((await Promise.all(slow))[0]?.body).toBe('late');
    expect(made.get(calls.reply.name)).toBe(1);
    await box.close();
  });
});

test('[X4] an answer that went along with a request which failed is brought before it leaves', async () => {
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    let [takes, close] = [0, (): unknown => undefined];
    const run: Host['run'] = (call, namespace, args, options) => {
      if (call.name !== calls.take.name || ++takes < 2)
        return a.run(call, namespace, args, options);
      // Out of reach: it was never sent.
      return new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
        close();
      });
    };
    const host = Object.assign(Object.create(a) as Host, { run });
    const parts = { host, clock: systemClock, namespace: 'n', group: '/g', member: 'm', lease };
    const box = new Mailbox({ ...parts, refuse: () => undefined, handle: async () => 'done' });
    close = () => box.close();
    await box.opened;
    expect(await send(b, 'm', 'work')).toMatchObject({ outcome: 'delivered', body: 'done' });
    await box.closed;
  });
});

test('[X3] an answer to a message of a host that was started anew is the answer to none of its messages', async () => {
  const first = await firstId();
  const second = await firstId();
  expect(first).not.toBe(second);
});

/** Of the first message that a host hands out. */
async function firstId(): Promise<number | undefined> {
  let id: number | undefined;
  await withHosts(async (a, b) => {
    const lease = await joined(a, 'm');
    const taking = a.run(calls.take, 'n', { group: '/g', member: 'm', lease, answers: [] });
    const sent = send(b, 'm', 'hello', 20);
    id = (await taking)[0]?.id;
    await sent;
  });
  return id;
}
