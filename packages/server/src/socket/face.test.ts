import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import fc from 'fast-check';
import {
  type Batch,
  createLocalHost,
  createMemoryEngine,
  type Engine,
  type Host,
  type LeaseId,
  systemClock,
  WaymarkError,
} from 'waymark/engine';
import {
  engineMethods,
  FrameSplitter,
  messages,
  type Method,
  preface,
  Reader,
  readError,
  Writer,
  writeHello,
} from 'waymark/wire';
import { deliver } from '../../../waymark/src/recipes/messages.js';
import { connectHost } from '../../../waymark/src/space/remote-host.js';
import { writeTrace } from '../../../waymark/src/wire/trace-codec.js';
import { openRemoteEngine } from '../../../waymark/src/engines/remote/remote-engine.js';
import { createSocketFace, type SocketFace, type SocketFaceOptions } from './face.js';

interface Served {
  readonly engine: Engine;
  readonly url: string;
  readonly face: SocketFace;
  readonly server: Server;
  readonly sockets: Set<Socket>;
}

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<SocketFaceOptions> = {}, port = 0): Promise<Served> {
  const engine = options.engine ?? createMemoryEngine();
  const face = createSocketFace({ engine, host: createLocalHost(engine), ...options });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    face.serve(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    engine,
    face,
    server,
    sockets,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
}

async function openedEngine(url: string, options = {}): Promise<Engine> {
  const engine = await openRemoteEngine(url, options);
  cleanups.push(() => engine[Symbol.asyncDispose]());
  return engine;
}

async function openedHost(url: string): Promise<Host> {
  const host = await connectHost(url);
  cleanups.push(() => host[Symbol.asyncDispose]());
  return host;
}

/** The engine with some of its calls replaced. */
function altered(engine: Engine, calls: Partial<Engine>): Engine {
  return new Proxy(engine, {
    get(target, name) {
      const call = (calls[name as keyof Engine] ?? target[name as keyof Engine]) as () => unknown;
      return typeof call === 'function' ? call.bind(target) : call;
    },
  });
}

const put = (key: string, value: string) => ({ apply: [{ type: 'put', key, value } as const] });

async function nextChange(iterator: AsyncIterator<Batch>): Promise<Batch> {
  for (;;) {
    const { value, done } = await iterator.next();
    if (done === true) throw new Error('the watch ended');
    if (value.changes.length > 0) return value;
  }
}

describe('raw engine verbs', () => {
  test('commit, read and errors are the engine’s own', async () => {
    const { url, engine } = await serve();
    const remote = await openedEngine(url);
    const outcome = await remote.commit({
      when: [{ key: 'a', target: 'version', is: '=', to: 0 }],
      apply: [
        { type: 'put', key: 'a', value: '\xff\x00é', previous: true },
        { type: 'read', key: 'a' },
      ],
    });
    expect(outcome.succeeded).toBe(true);
    expect(outcome.results[0]).toEqual({ type: 'put', previous: null });
    expect(await remote.read({ key: 'a', end: '' })).toEqual(
      await engine.read({ key: 'a', end: '' }),
    );
    await expect(remote.read({ key: 'a', at: 99 })).rejects.toMatchObject({
      code: 'future_revision',
    });
    await expect(remote.commit(put('a', '€'))).rejects.toMatchObject({ code: 'invalid' });
    await expect(remote.renew(12)).rejects.toMatchObject({ code: 'not_found' });
    expect(await remote.lease(12)).toBe(null);
    const lease = await remote.grant(5_000, { id: 77 });
    expect(await remote.leases()).toEqual([lease.id]);
    expect((await remote.lease(77))?.keys).toEqual([]);
    expect(await remote.status()).toEqual(await engine.status());
  });

  test('are denied where the server does not allow them', async () => {
    const engine = createMemoryEngine();
    const { url } = await serve({ engine: undefined, host: createLocalHost(engine) });
    const host = await openedHost(url);
    const remote = await openedEngine(url);
    await expect(remote.read({ key: 'a' })).rejects.toMatchObject({ code: 'denied' });
    await expect(
      remote
        .watch([{ key: 'a' }])
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toMatchObject({
      code: 'denied',
    });
    expect((await host.read('n', { key: 'd/a' })).entries).toEqual([]);
  });

  test('an answer longer than a frame comes in parts', async () => {
    const { url } = await serve();
    const remote = await openedEngine(url);
    for (let i = 0; i < 6; i++) await remote.commit(put(`k${i}`, `${i}`.repeat(1_000_000)));
    const reading = await remote.read({ key: '', end: '' });
    expect(reading.entries.map((entry) => entry.value[0])).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(reading.entries.every((entry) => entry.value.length === 1_000_000)).toBe(true);
  });

  test('over WebSocket the same frames', async () => {
    const engine = createMemoryEngine();
    const face = createSocketFace({ engine });
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 1_500_000 });
    server.on('connection', (socket, request) => face.serveWebSocket(socket, request.socket));
    await once(server, 'listening');
    cleanups.push(() => server.close());
    const remote = await openedEngine(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await remote.commit(put('a', 'x'.repeat(1_048_576)));
    expect((await remote.read({ key: 'a' })).entries[0]?.value.length).toBe(1_048_576);
  });
});

test('[errors] a fault of the server is told to its log, and to the client without its words', async () => {
  const engine = createMemoryEngine();
  const faults: unknown[] = [];
  const host: Host = Object.assign(createLocalHost(engine), {
    forceUnlock: () => Promise.reject(new TypeError('a secret of the house')),
  });
  const { url } = await serve({ engine, host, faulted: (error) => faults.push(error) });
  const client = await connectHost(url);
  cleanups.push(() => client[Symbol.asyncDispose]());
  const error = await client.forceUnlock('n', '/a', 'why').catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'internal' });
  expect(String(error)).not.toContain('secret');
  await expect(client.read('n', { key: 'd', at: 9 })).rejects.toMatchObject({
    code: 'future_revision',
  });
  expect(faults).toMatchObject([{ message: 'a secret of the house' }]);
});

describe('watches', () => {
  test('[K9] what another watch still keeps does not hide that the server has compacted it', async () => {
    const { url } = await serve();
    const engine = await openRemoteEngine(url);
    cleanups.push(() => engine[Symbol.asyncDispose]());
    const first = engine.watch([{ key: 'b' }])[Symbol.asyncIterator]();
    expect((await first.next()).value).toEqual({ revision: 0, changes: [] });
    void first.next().catch(() => undefined);
    await engine.commit({ apply: [{ type: 'put', key: 'a', value: '' }] });
    const before = engine.watch([{ key: 'b' }], { after: 0 })[Symbol.asyncIterator]();
    const told = before.next();
    await engine.commit({ apply: [{ type: 'put', key: 'b', value: '' }] });
    expect((await told).value).toMatchObject({ revision: 2 });
    await engine.compact(2);
    const late = engine.watch([{ key: 'b' }], { after: 0 })[Symbol.asyncIterator]();
    await expect(late.next()).rejects.toMatchObject({ code: 'compacted' });
  });

  test('[K8] whole revisions in order, across broken connections', async () => {
    const { url, engine, sockets } = await serve();
    const remote = await openedEngine(url);
    const watch = remote.watch([{ key: 'k', end: 'l' }])[Symbol.asyncIterator]();
    await watch.next();
    const seen: string[] = [];
    for (let i = 0; i < 200; i++) {
      await engine.commit({
        apply: [
          { type: 'put', key: `k${i}`, value: '' },
          { type: 'put', key: `ka${i}`, value: '' },
        ],
      });
      if (i % 20 === 10) for (const socket of sockets) socket.destroy();
    }
    while (seen.length < 400) {
      const batch = await nextChange(watch);
      expect(batch.changes.length % 2).toBe(0);
      seen.push(...batch.changes.map((change) => change.entry.key));
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => [`k${i}`, `ka${i}`]).flat());
    await watch.return?.();
  });

  test('[K8] the same watches share one stream; one that never reads holds nothing back and loses nothing', async () => {
    const engine = createMemoryEngine();
    let opened = 0;
    const counted: Engine = altered(engine, {
      watch: (...args: Parameters<Engine['watch']>) => {
        opened++;
        return engine.watch(...args);
      },
    });
    const { url } = await serve({ engine: counted, host: undefined });
    const remote = await openedEngine(url);
    const ranges = [{ key: 'k', end: 'l' }];
    const watches = Array.from({ length: 20 }, () => remote.watch(ranges)[Symbol.asyncIterator]());
    for (const watch of watches) await watch.next();
    expect(opened).toBe(1);
    const count = 2_000;
    const read = async (watch: AsyncIterator<Batch>): Promise<string[]> => {
      const keys: string[] = [];
      while (keys.length < count) {
        keys.push(...(await nextChange(watch)).changes.map((change) => change.entry.key));
      }
      return keys;
    };
    const readers = watches.slice(1).map(read);
    for (let i = 0; i < count; i++) {
      await engine.commit(put(`k${i}`, 'v'.repeat(1_000)));
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const wanted = Array.from({ length: count }, (_, i) => `k${i}`);
    for (const reader of readers) expect(await reader).toEqual(wanted);
    expect(opened).toBe(1);
    expect(await read(watches[0] as AsyncIterator<Batch>)).toEqual(wanted);
    for (const watch of watches) await watch.return?.();
  });

  test('[K9] resuming below the compaction point and above the present fails', async () => {
    const { url, engine } = await serve();
    for (let i = 0; i < 5; i++) await engine.commit(put('k', `${i}`));
    await engine.compact(4);
    const remote = await openedEngine(url);
    const first = (after: number, identity?: string): Promise<unknown> =>
      remote
        .watch([{ key: 'k' }], { after, identity })
        [Symbol.asyncIterator]()
        .next();
    await expect(first(2)).rejects.toMatchObject({ code: 'compacted', facts: { compacted: 4 } });
    await expect(first(9)).rejects.toMatchObject({ code: 'future_revision' });
    await expect(first(4, 'another')).rejects.toMatchObject({ code: 'superseded' });
  });

  test('a watch that is resumed on another engine is superseded', async () => {
    const { url, engine, server, sockets } = await serve();
    const remote = await openedEngine(url);
    await engine.commit(put('k', '1'));
    const watch = remote.watch([{ key: 'k' }])[Symbol.asyncIterator]();
    await watch.next();
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
    await serve({}, Number(new URL(url).port));
    await expect(watch.next()).rejects.toMatchObject({ code: 'superseded' });
  });

  test('[K8] a revision longer than a part comes whole to all its watchers', async () => {
    const { url, engine } = await serve();
    const remote = await openedEngine(url);
    const ranges = [
      [{ key: 'k', end: 'l' }],
      [{ key: '', end: '' }],
      [{ key: 'k', end: 'z' }],
    ] as const;
    const watches = ranges.map((range) => remote.watch(range)[Symbol.asyncIterator]());
    for (const watch of watches) await watch.next();
    const value = (i: number): string => `${i} `.repeat(3_000).slice(0, 9_900);
    await engine.commit({
      apply: Array.from({ length: 128 }, (_, i) => ({
        type: 'put',
        key: `k${i}`,
        value: value(i),
      })),
    });
    for (const watch of watches) {
      const { changes } = await nextChange(watch);
      expect(changes.map(({ entry }) => entry.key)).toEqual(
        Array.from({ length: 128 }, (_, i) => `k${i}`),
      );
      expect(changes.every(({ entry }, i) => entry.value === value(i))).toBe(true);
    }
  });

  test('an abort ends it with the signal’s reason', async () => {
    const { url } = await serve();
    const remote = await openedEngine(url);
    const controller = new AbortController();
    const watch = remote
      .watch([{ key: 'k' }], { signal: controller.signal })
      [Symbol.asyncIterator]();
    await watch.next();
    const next = watch.next();
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
  });
});

describe('[K11] what a broken connection leaves', () => {
  test('a commit that was sent is uncertain, a read is asked again, what was never sent waits', async () => {
    const engine = createMemoryEngine();
    let hold = true;
    const stuck: Engine = altered(engine, {
      commit: (...args: Parameters<Engine['commit']>) =>
        hold ? new Promise(() => {}) : engine.commit(...args),
      read: (...args: Parameters<Engine['read']>) =>
        hold ? new Promise(() => {}) : engine.read(...args),
    });
    const { url, sockets } = await serve({ engine: stuck, host: undefined });
    const remote = await openedEngine(url);
    const sent = remote.commit(put('a', '1'));
    const read = remote.read({ key: 'a' });
    sent.catch(() => {});
    while (sockets.size === 0) await new Promise((resolve) => setImmediate(resolve));
    await remote.status();
    hold = false;
    for (const socket of sockets) socket.destroy();
    await expect(sent).rejects.toMatchObject({ code: 'uncertain' });
    const later = remote.commit(put('b', '2'));
    expect((await read).entries).toEqual([]);
    expect((await later).revision).toBe(1);
  });

  test('a deadline ends a read unavailable and a commit uncertain', async () => {
    const engine = createMemoryEngine();
    const stuck: Engine = altered(engine, {
      commit: () => new Promise(() => {}),
      read: () => new Promise(() => {}),
    });
    const { url } = await serve({ engine: stuck, host: undefined });
    const remote = await openedEngine(url, { callTimeoutMs: 100 });
    const read = expect(remote.read({ key: 'a' })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(remote.commit(put('a', '1'))).rejects.toMatchObject({ code: 'uncertain' });
    await read;
  });

  test('[X5] a call that waits ends where the server fell silent, when it was told within what time', async () => {
    const engine = createMemoryEngine();
    const host = Object.assign(createLocalHost(engine), {
      run: () => new Promise<never>(() => {}),
    });
    const { url } = await serve({ engine, host });
    const remote = await connectHost(url, { callTimeoutMs: 100 });
    cleanups.push(() => remote[Symbol.asyncDispose]());
    const to = {
      group: '/g',
      member: 'm',
      from: 'me',
      guest: false,
      kind: 'send',
      term: undefined,
    } as const;
    const args = { ...to, body: '', deadlineMs: 1, relayed: false };
    let ended = false;
    const waiting = remote.run(deliver, 'n', args).finally(() => (ended = true));
    waiting.catch(() => undefined);
    const bounded = remote.run(deliver, 'n', args, { withinMs: 200 });
    await expect(bounded).rejects.toMatchObject({ code: 'uncertain' });
    expect(ended).toBe(false);
  });

  test('aborted before the send: the signal’s reason; after it: uncertain', async () => {
    const { url } = await serve();
    const remote = await openedEngine(url);
    const aborted = AbortSignal.abort(new Error('never'));
    await expect(remote.commit(put('a', '1'), { signal: aborted })).rejects.toThrow('never');
    const controller = new AbortController();
    const commit = remote.commit(put('a', '1'), { signal: controller.signal });
    controller.abort(new Error('late'));
    await expect(commit).rejects.toMatchObject({ code: 'uncertain' });
  });

  test('nobody there is unavailable', async () => {
    const { url, server } = await serve();
    server.close();
    await once(server, 'close');
    const error = openRemoteEngine(url, { connectTimeoutMs: 200 });
    await expect(error).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('locks over the wire', () => {
  const request = (id: string, lease: LeaseId) =>
    ({ id, path: '/a', tree: false, mode: 'exclusive', lease, owner: id, session: id }) as const;

  test('a place in the queue is found again after a reconnect; a hold’s end is told', async () => {
    const { url, sockets } = await serve();
    const [one, two] = [await openedHost(url), await openedHost(url)];
    const [first, second] = [await one.grant(60_000), await two.grant(60_000)];
    const [holder, waiter] = [request('one', first.id), request('two', second.id)];
    const held = await one.acquire('n', holder);
    let granted = false;
    const waiting = two.acquire('n', waiter).then((token) => {
      granted = true;
      return token;
    });
    await two.status();
    for (const socket of sockets) socket.destroy();
    await two.status();
    expect(granted).toBe(false);
    const end = new Promise<string>((resolve) => {
      one.watchHold('n', holder, ({ kind }) => resolve(kind));
    });
    await one.forceUnlock('n', '/a', 'a test');
    expect(await end).toBe('forced');
    expect(await waiting).toBeGreaterThan(held as number);
    expect(await two.release('n', waiter)).toBe(true);
  });

  test('a call that was given up ends no later one', async () => {
    const { url } = await serve();
    const host = await openedHost(url);
    const { id: lease } = await host.grant(60_000);
    const holder = request('one', lease);
    await host.acquire('n', holder);
    for (const id of ['two', 'three']) {
      const controller = new AbortController();
      const given = host.acquire('n', request(id, lease), { signal: controller.signal });
      await host.status();
      controller.abort(new Error('enough'));
      await expect(given).rejects.toThrow('enough');
    }
    const waiting = host.acquire('n', request('four', lease));
    await host.status();
    await host.release('n', holder);
    expect(await waiting).toBeGreaterThan(0);
  });

  test('an abort gives the place up before it rejects', async () => {
    const { url } = await serve();
    const host = await openedHost(url);
    const [first, second] = [await host.grant(60_000), await host.grant(60_000)];
    const holder = request('one', first.id);
    await host.acquire('n', holder);
    const controller = new AbortController();
    const waiting = host.acquire('n', request('two', second.id), { signal: controller.signal });
    await host.status();
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const explained = await host.explain('n', { path: '/a', tree: false, mode: 'exclusive' });
    expect(explained.waiters).toEqual([]);
    expect(await host.release('n', holder)).toBe(true);
  });

  test('a drained server’s clients come back and keep their calls', async () => {
    const { url, face } = await serve();
    const host = await openedHost(url);
    const [first, second] = [await host.grant(60_000), await host.grant(60_000)];
    const holder = request('one', first.id);
    const held = await host.acquire('n', holder);
    const waiting = host.acquire('n', request('two', second.id));
    await host.status();
    await face.drain();
    await host.status();
    expect(await host.release('n', holder)).toBe(true);
    expect(await waiting).toBeGreaterThan(held as number);
  });
});

describe('bad input', () => {
  async function rejected(url: string, bytes: Uint8Array): Promise<WaymarkError | null> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let told: WaymarkError | null = null;
    const splitter = new FrameSplitter((chunk, start, end) => {
      const r = new Reader(chunk, start, end);
      while (!r.done && told === null) {
        if (r.byte() !== messages.error) return;
        r.uint();
        told = readError(r);
      }
    });
    socket.on('data', (chunk: Buffer) => splitter.push(chunk));
    socket.on('error', () => {});
    socket.write(bytes);
    socket.end();
    await once(socket, 'close');
    return told;
  }

  const hello = (min: number, max: number): Buffer => {
    const writer = new Writer();
    writer.begin();
    writer.byte(messages.hello);
    writeHello(writer, { versionMin: min, versionMax: max, client: 'test' });
    writer.end();
    return Buffer.concat([preface, writer.take() as Buffer]);
  };

  test('a version nobody speaks is refused in words', async () => {
    const { url } = await serve();
    const error = await rejected(url, hello(7, 9));
    expect(error?.code).toBe('invalid');
    expect(error?.message).toContain('7 to 9');
  });

  test('a frame beyond the limit is refused before it is read', async () => {
    const { url } = await serve();
    const error = await rejected(
      url,
      Buffer.concat([hello(1, 1), Buffer.from([0xff, 0xff, 0xff, 0xff, 1])]),
    );
    expect(error?.code).toBe('too_large');
  });

  test('random and mutated frames never end the server', async () => {
    const { url } = await serve();
    const remote = await openedEngine(url);
    const bytes = fc.uint8Array({ maxLength: 200 });
    const framed = (payload: Uint8Array): Buffer => {
      const header = Buffer.alloc(4);
      header.writeUInt32BE(payload.length);
      return Buffer.concat([hello(1, 1), header, payload]);
    };
    await fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 0x01, max: 0x60 }), async (payload, verb) => {
        await rejected(url, framed(Uint8Array.from([verb, 1, ...payload])));
      }),
      { numRuns: 300 },
    );
    await remote.commit(put('still', 'here'));
  });

  test('more calls and watches at once than allowed are overloaded', async () => {
    const engine = createMemoryEngine();
    const { url } = await serve({ engine, limits: { watchesMax: 2 } });
    const remote = await openedEngine(url);
    for (const key of ['a', 'b']) await remote.watch([{ key }])[Symbol.asyncIterator]().next();
    const third = remote
      .watch([{ key: 'c' }])
      [Symbol.asyncIterator]()
      .next();
    await expect(third).rejects.toMatchObject({ code: 'overloaded' });
  });
});

test('[OB2] a trace is the next call’s alone, also where that is a watch', async () => {
  const parents: unknown[] = [];
  const traced: NonNullable<SocketFaceOptions['traced']> = (_, parent, run) => {
    parents.push(parent?.traceparent);
    return run();
  };
  const { url } = await serve({ traced });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  cleanups.push(() => socket.destroy());
  const writer = new Writer();
  writer.begin();
  writer.byte(messages.hello);
  writeHello(writer, { versionMin: 1, versionMax: 1, client: 'test' });
  writer.end();
  socket.write(Buffer.concat([preface, writer.take() as Buffer]));
  await once(socket, 'readable');
  socket.resume();
  const call = <A, R>(method: Method<A, R>, id: number, args: NoInfer<A>): void => {
    writer.begin();
    writer.byte(method.verb);
    writer.uint(id);
    method.writeArgs(writer, args);
    writer.end();
  };
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
  const read = { query: { key: 'a' }, stale: false };
  writeTrace(writer, { traceparent, tracestate: '' });
  const from = { after: undefined, previous: false, identity: undefined };
  call(engineMethods.watch, 1, { ranges: [{ key: 'a' }], ...from });
  call(engineMethods.read, 2, read);
  writeTrace(writer, { traceparent, tracestate: '' });
  call(engineMethods.read, 3, read);
  call(engineMethods.read, 4, read);
  socket.write(writer.take() as Buffer);
  await expect.poll(() => parents).toEqual([undefined, traceparent, undefined]);
});

test('a client that does not read is not read from, and gets everything once it does', async () => {
  const { url, engine, face } = await serve();
  for (let i = 0; i < 4; i++) await engine.commit(put(`k${i}`, 'x'.repeat(1_000_000)));
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  cleanups.push(() => socket.destroy());
  const writer = new Writer();
  writer.begin();
  writer.byte(messages.hello);
  writeHello(writer, { versionMin: 1, versionMax: 1, client: 'test' });
  writer.end();
  socket.write(Buffer.concat([preface, writer.take() as Buffer]));
  await once(socket, 'readable');
  const count = 100;
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 1; i <= count; i++) {
    writer.begin();
    for (const byte of [0x20, i, 0]) writer.byte(byte);
    writer.uint(1);
    writer.bytes('');
    writer.bytes('');
    writer.end();
  }
  socket.write(writer.take() as Buffer);
  await (await openedEngine(url)).status();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1_048_576);
  expect(face.connections).toBe(2);
  let received = 0;
  socket.on('data', (chunk: Buffer) => (received += chunk.length));
  socket.resume();
  while (received < count * 4_000_000)
    await new Promise((resolve) => systemClock.nextTurn(() => resolve(0)));
  expect(received).toBeGreaterThan(count * 4_000_000);
});
