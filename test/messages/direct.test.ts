import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { connectHost, messageCalls } from 'waymark/engine';
import { open } from 'waymark';
import { ServerProcess } from '../faults/server-process.js';
import { MemberProcess } from './member-process.js';

const listen = '127.0.0.1:0';

/** As it is noted beside the member. */
async function notedAt(url: string, member: string): Promise<{ at: string; box: string }> {
  const host = await connectHost(url);
  try {
    const { entries } = await host.read('n', { key: `m/g\0${member}` });
    const [, at = '', box = ''] = /^member:\/\/(.*)\/(.*)$/.exec(entries[0]?.value ?? '') ?? [];
    return { at, box };
  } finally {
    await host[Symbol.asyncDispose]();
  }
}

function letter(body: string) {
  const message = {
    from: 'test',
    guest: false,
    kind: 'send',
    term: undefined,
    deadlineMs: 5_000,
  } as const;
  return { group: '/g', ...message, body: JSON.stringify(body), relayed: false };
}

describe('members in processes of their own', () => {
  test('[X20] a member that listens is reached without its server: also when that has ended', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    expect(await a.join({ id: 'one' })).toBe(null);
    expect(await b.join({ id: 'two', listen })).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await b.join({ id: 'three', listen })).toMatch(/^127\.0\.0\.1:\d+$/);
    const told = { outcome: 'delivered', member: 'two', value: 'two had 1' };
    expect(await a.sendTo('one', 'two', 1)).toEqual(told);
    await server[Symbol.asyncDispose]();
    expect(await a.sendTo('one', 'two', 2)).toMatchObject({ value: 'two had 2' });
    // Its address would have to be read.
    const unknown = await a.sendTo('one', 'three', 1);
    expect(unknown).toMatchObject({ outcome: 'refused', seen: false });
  });

  test('[X2] 1 000 messages at once from process to process keep their order, the first included', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    await a.join({ id: 'one' });
    await b.join({ id: 'two', listen });
    const bodies = Array.from({ length: 1_000 }, (_, at) => at);
    const replies = await Promise.all(bodies.map((body) => a.sendTo('one', 'two', body)));
    expect(replies.every(({ outcome }) => outcome === 'delivered')).toBe(true);
    expect(await a.sendTo('one', 'two', 'seen?')).toMatchObject({ value: bodies });
  });

  test('[X6] a message of 1 MiB goes directly too, and so does a reply', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    await a.join({ id: 'one' });
    await b.join({ id: 'two', listen });
    const largest = 'x'.repeat(1_048_576 - 'two had '.length - 2);
    const reply = await a.sendTo('one', 'two', largest);
    expect(reply.outcome === 'delivered' && reply.value === `two had ${largest}`).toBe(true);
    await expect(a.sendTo('one', 'two', `${largest}${' '.repeat(10)}`)).rejects.toThrow('1048576');
  });

  test('[X21] without the token, or with another, nothing is taken: refused, unseen', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    await b.join({ id: 'two', listen, token: 'shared' });
    for (const token of [undefined, 'other']) {
      await a.join({ id: `with ${String(token)}`, token });
      const reply = await a.sendTo(`with ${String(token)}`, 'two', 1);
      expect(reply).toMatchObject({ outcome: 'refused', seen: false });
      expect(reply).toMatchObject({ why: expect.stringContaining('unauthenticated') as unknown });
    }
    await a.join({ id: 'friend', token: 'shared' });
    expect(await a.sendTo('friend', 'two', 2)).toMatchObject({ outcome: 'delivered' });
    expect(await a.sendTo('friend', 'two', 'seen?')).toMatchObject({ value: [2] });
    const { at } = await notedAt(server.url, 'two');
    const stranger = connectHost(`tcp://${at}`, { token: 'other' });
    await expect(stranger).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('[X22] nothing but messages is reachable at a member that listens, and those by the name of its box alone', async () => {
    await using server = await ServerProcess.start('memory');
    await using b = new MemberProcess(server.url);
    await b.join({ id: 'two', listen });
    const { at, box } = await notedAt(server.url, 'two');
    const host = await connectHost(`tcp://${at}`);
    try {
      const denied = { code: 'denied' };
      await expect(host.read('n', { key: 'd' })).rejects.toMatchObject(denied);
      await expect(host.status()).rejects.toMatchObject(denied);
      const args = { ...letter('hello'), member: 'two' };
      const taking = { group: '/g', member: 'two', lease: 1, answers: [] };
      await expect(host.run(messageCalls.take, box, taking)).rejects.toMatchObject(denied);
      const unseen = { outcome: 'refused', seen: false };
      for (const guess of ['n', '', 'x'.repeat(22)]) {
        expect(await host.run(messageCalls.deliver, guess, args)).toMatchObject(unseen);
      }
      const other = { ...args, member: 'three' };
      expect(await host.run(messageCalls.deliver, box, other)).toMatchObject(unseen);
      expect(await host.run(messageCalls.deliver, box, args)).toMatchObject({
        outcome: 'delivered',
      });
    } finally {
      await host[Symbol.asyncDispose]();
    }
  });

  test('[X23] 100 members of 5 processes make one connection an address, and none after the first round', async () => {
    await using server = await ServerProcess.start('memory');
    const processes = Array.from({ length: 5 }, () => new MemberProcess(server.url));
    try {
      for (const [p, one] of processes.entries()) {
        const ids = Array.from({ length: 20 }, (_, at) => `${p}-${at}`);
        await Promise.all(ids.map((id) => one.join({ id, listen })));
      }
      const round = async (): Promise<number[]> => {
        const all = await Promise.all(processes.map((one, p) => one.broadcast(`${p}-0`, 'x')));
        for (const replies of all) {
          expect(replies).toHaveLength(100);
          expect(replies.every(({ outcome }) => outcome === 'delivered')).toBe(true);
        }
        return await Promise.all(processes.map((one) => one.connections()));
      };
      // One to the server, one to each of the other four processes.
      expect(await round()).toEqual([5, 5, 5, 5, 5]);
      for (let again = 0; again < 3; again++) expect(await round()).toEqual([5, 5, 5, 5, 5]);
    } finally {
      for (const one of processes) await one[Symbol.asyncDispose]();
    }
  });

  test('[X3] a process that is killed leaves what it had unknown, and refuses nothing it could have seen', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    await a.join({ id: 'one' });
    await b.join({ id: 'two', listen });
    await a.sendTo('one', 'two', 1);
    const hanging = a.sendTo('one', 'two', 'hang');
    // Sent behind it, so it is there when this is answered.
    await a.sendTo('one', 'two', 2);
    await b[Symbol.asyncDispose]();
    expect(await hanging).toMatchObject({ outcome: 'unknown', seen: true });
    const next = await a.sendTo('one', 'two', 3);
    expect(next).toMatchObject({ outcome: 'refused', seen: false });
  });

  test('[X24] whoever joins again elsewhere is found there by the next message', async () => {
    await using server = await ServerProcess.start('memory');
    await using a = new MemberProcess(server.url);
    await using b = new MemberProcess(server.url);
    await a.join({ id: 'one' });
    for (const at of [listen, undefined, listen, listen]) {
      await b.join({ id: 'two', listen: at });
      expect(await a.sendTo('one', 'two', 1)).toMatchObject({ outcome: 'delivered' });
      await b.leave('two');
    }
    const gone = await a.sendTo('one', 'two', 2);
    expect(gone).toMatchObject({ outcome: 'refused', seen: false });
  });

  test('[X20] a server brings what it is asked to bring to a member that listens', async () => {
    await using server = await ServerProcess.start('memory');
    await using b = new MemberProcess(server.url);
    await b.join({ id: 'two', listen });
    const host = await connectHost(server.url);
    try {
      const args = { ...letter('relayed'), member: 'two' };
      expect(await host.run(messageCalls.deliver, 'n', args)).toMatchObject({
        outcome: 'delivered',
        body: '"two had relayed"',
      });
    } finally {
      await host[Symbol.asyncDispose]();
    }
  });
});

describe('the port', () => {
  const handle = (): string => 'here';

  test('[X25] one port for all who ask for the same; it is free again when the last has left', async () => {
    await using space = await open();
    const group = space.namespace('n').members('/g');
    const one = await group.join({ id: 'one', listen, handle });
    const two = await group.join({ id: 'two', listen, handle });
    expect(one.listens).toBe(two.listens);
    const port = Number(one.listens?.split(':')[1]);
    const sender = connect(port, '127.0.0.1');
    await once(sender, 'connect');
    await one.release();
    const probe = connect(port, '127.0.0.1');
    await once(probe, 'connect');
    probe.destroy();
    const ended = once(sender.resume(), 'close');
    await two.release();
    await ended;
    const next = createServer().listen(port, '127.0.0.1');
    await once(next, 'listening');
    next.close();
  });

  test('[X25] a port that another has is `taken`, and nobody has joined', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await using space = await open();
    const group = space.namespace('n').members('/g');
    const joining = group.join({ id: 'one', listen: `127.0.0.1:${port}`, handle });
    await expect(joining).rejects.toMatchObject({ code: 'taken' });
    expect((await group.list()).members).toEqual([]);
    other.close();
    await once(other, 'close');
    const joined = await group.join({ id: 'one', listen: `127.0.0.1:${port}`, handle });
    expect(joined.listens).toBe(`127.0.0.1:${port}`);
  });

  test('[X25] what failed to join leaves no port open, and another token needs another port', async () => {
    await using space = await open();
    const group = space.namespace('n').members('/g');
    const one = await group.join({ id: 'one', listen, handle, token: 'a' });
    const other = group.join({ id: 'two', listen, handle, token: 'b' });
    await expect(other).rejects.toMatchObject({ code: 'conflict' });
    await one.release();
    await group.join({ id: 'taken' });
    const again = group.join({ id: 'taken', listen, handle });
    await expect(again).rejects.toMatchObject({ code: 'conflict' });
    // With another token: the port of the failed join is closed.
    const two = await group.join({ id: 'two', listen, handle, token: 'b' });
    expect(two.isHeld()).toBe(true);
  });

  test.each([
    ['no port', { listen: '127.0.0.1' }],
    ['no text', { listen: 7_500 as unknown as string }],
    ['a port too high', { listen: ':65536' }],
    ['a URL', { listen: 'http://127.0.0.1:0' }],
    ['a path', { listen: 'unix:/tmp/x' }],
    ['no port to advertise', { listen, advertise: 'host' }],
    ['port 0 to advertise', { listen, advertise: 'host:0' }],
    ['a path to advertise', { listen, advertise: 'host:1/box' }],
    ['advertise without listen', { advertise: 'host:1' }],
    ['no handle', { listen, handle: undefined }],
    ['an empty token', { listen, token: '' }],
    ['a long token', { listen, token: 'x'.repeat(513) }],
    ['an address of another machine', { listen: '192.0.2.77:0' }],
  ])('[X25] %s is invalid, and nobody has joined', async (_what, call) => {
    await using space = await open();
    const group = space.namespace('n').members('/g');
    const joining = group.join({ id: 'one', handle, ...call });
    await expect(joining).rejects.toMatchObject({ code: 'invalid' });
    expect((await group.list()).members).toEqual([]);
  });

  test('[X25] it advertises what it is told to, and its own address by default', async () => {
    await using space = await open();
    const group = space.namespace('n').members('/g');
    const one = await group.join({ id: 'one', listen: ':0', handle });
    expect(one.listens).toMatch(/^[^:]+:\d+$|^\[.*\]:\d+$/);
    expect((await group.list()).members[0]?.address).toBe(one.listens);
    const named = { listen: ':0', advertise: 'front.example:443', handle };
    const two = await group.join({ id: 'two', ...named });
    expect(two.listens).toBe('front.example:443');
  });
});
