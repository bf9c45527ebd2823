import { startServer } from '@waymark/server';
import { expect, test } from 'vitest';
import { type Membership, open, type Space, type StreamHandler } from 'waymark';
import { createMemoryEngine, ForwardingEngine } from 'waymark/engine';
import { FaultProxy } from '../faults/proxy.js';
import { ServerProcess } from '../faults/server-process.js';
import { freePort } from '../support/free-port.js';

const echo: StreamHandler = async function* (stream) {
  for await (const part of stream) yield part;
};

function* numbers(count: number): Generator<number> {
  for (let at = 0; at < count; at++) yield at;
}

interface Two {
  readonly one: Membership;
  readonly two: Membership;
  /** To the first server, to the second, and from the first to the second. */
  readonly proxies: readonly FaultProxy[];
}

/** Members at two servers over one engine, with a proxy on every way. */
async function withTwo(run: (two: Two) => Promise<void>): Promise<void> {
  await using engine = createMemoryEngine();
  const between: FaultProxy[] = [];
  const serve = async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const relay = await FaultProxy.open(`http://${listen}`);
    between.push(relay);
    const server = await startServer({
      listen: [listen],
      advertise: relay.url,
      engine: new ForwardingEngine(engine),
      logLevel: 'silent',
    });
    return { server, proxy: await FaultProxy.open(`http://${listen}`) };
  };
  const first = await serve();
  const second = await serve();
  const spaces: Space[] = [];
  const join = async (url: string, id: string): Promise<Membership> => {
    const space = await open(url, { owner: id });
    spaces.push(space);
    return await space.namespace('n').members('/g').join({ id, handleStream: echo });
  };
  try {
    const one = await join(first.proxy.url, 'one');
    const two = await join(second.proxy.url, 'two');
    await run({ one, two, proxies: [first.proxy, second.proxy, ...between] });
  } finally {
    for (const space of spaces) await space.close();
    await Promise.all([first.server.close(), second.server.close()]);
    for (const proxy of [first.proxy, second.proxy, ...between]) {
      await proxy[Symbol.asyncDispose]();
    }
  }
}

test('[X10] 10 000 parts there and back over two servers, in both directions at once', async () => {
  await withTwo(async ({ one, two }) => {
    const through = async (from: Membership, to: string): Promise<void> => {
      const stream = from.sendStream<number>(numbers(10_000), { to });
      let next = 0;
      for await (const part of stream) expect(part).toBe(next++);
      expect(next).toBe(10_000);
      expect(await stream.outcome).toEqual({ outcome: 'delivered', member: to });
    };
    await Promise.all([through(one, 'two'), through(two, 'one')]);
  });
});

test('[X16] connections that break in the middle, on any way, neither lose nor repeat a part', async () => {
  await withTwo(async ({ one, proxies }) => {
    const stream = one.sendStream<number>(numbers(20_000), { to: 'two' });
    let next = 0;
    let cuts = 0;
    for await (const part of stream) {
      expect(part).toBe(next++);
      if (next % 1_000 !== 500) continue;
      proxies[cuts++ % proxies.length]?.cutAll();
    }
    expect(next).toBe(20_000);
    expect(cuts).toBe(20);
    expect(await stream.outcome).toEqual({ outcome: 'delivered', member: 'two' });
  });
});

test('[X17] a broadcast stream over two servers: all parts to each', async () => {
  await withTwo(async ({ one }) => {
    const got = new Map<string, unknown[]>();
    const ends: string[] = [];
    for await (const item of one.broadcastStream(numbers(1_000))) {
      if ('part' in item) got.set(item.member, [...(got.get(item.member) ?? []), item.part]);
      else ends.push(`${item.member} ${item.outcome}`);
    }
    expect(ends.sort()).toEqual(['one delivered', 'two delivered']);
    for (const member of ['one', 'two']) expect(got.get(member)).toEqual([...numbers(1_000)]);
  });
});

/** Numbers until it is left. */
async function* endless(left: () => void): AsyncGenerator<number> {
  try {
    for (let at = 0; ; at++) yield at;
  } finally {
    left();
  }
}

test.each(['the member', 'the sender'])(
  '[X16] the server of %s is killed in the middle: unknown to one, lost to the other',
  async (whose) => {
    await using engine = await ServerProcess.start('memory');
    await using first = await ServerProcess.start(engine.url);
    await using second = await ServerProcess.start(engine.url);
    const a = await open(first.url, { owner: 'a' });
    const b = await open(second.url, { owner: 'b' });
    let ended: unknown = null;
    let end = (): void => {};
    const handled = new Promise<void>((resolve) => (end = resolve));
    const group = (space: Space) => space.namespace('n').members('/g');
    const one = await group(a).join({ id: 'one', ttlMs: 60_000 });
    await group(b).join({
      id: 'two',
      ttlMs: 60_000,
      handleStream: async function* (stream) {
        stream.signal.addEventListener('abort', () => (ended = stream.signal.reason));
        try {
          yield* echo(stream);
        } finally {
          end();
        }
      },
    });
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => (leave = resolve));
    const stream = one.sendStream<number>(endless(leave), { to: 'two' });
    let next = 0;
    const reading = async (): Promise<void> => {
      for await (const part of stream) {
        expect(part).toBe(next++);
        if (next === 1_000) (whose === 'the member' ? second : first).child.kill('SIGKILL');
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'uncertain' });
    expect(await stream.outcome).toMatchObject({ outcome: 'unknown', seen: true, member: 'two' });
    await left;
    await handled;
    expect(ended).toMatchObject({ code: 'lost' });
    await Promise.allSettled([a.close(), b.close()]);
  },
  60_000,
);
