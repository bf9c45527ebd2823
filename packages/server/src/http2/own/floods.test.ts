import { afterEach, describe, expect, test } from 'vitest';
import {
  block,
  data,
  frame,
  greeting,
  post,
  RawHttp2,
  request,
  serveHttp2,
  settings,
  word,
} from '../../testing/raw-http2.js';
import { FakeClock } from '../../../../waymark/src/testing/fake-clock.js';
import type { TransportOptions } from '../transport.js';
import { codes, frameTypes } from './codes.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Time stands still: a budget is a burst and no more. */
async function serve(options: Partial<TransportOptions> = {}) {
  const clock = new FakeClock();
  const served = await serveHttp2({ clock, ...options });
  cleanups.push(() => served[Symbol.asyncDispose]());
  return { served, clock };
}

async function open(port: number, ...values: [number, number][]): Promise<RawHttp2> {
  const client = await RawHttp2.open(port, greeting(...values));
  cleanups.push(() => client.close());
  return client;
}

const head = block(post);
const cancelled = (from: number, count: number): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, i) => [
      frame(1, 4, from + 2 * i, head),
      frame(3, 0, from + 2 * i, word(codes.cancel)),
    ]).flat(),
  );

describe('rapid reset', () => {
  test('[RFC 9113 10.5] a client that cancels thousands of requests at once is served on', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    for (let i = 0; i < 5; i++) client.send(cancelled(1 + 2_000 * i, 1_000));
    client.send(request(99_999));
    await client.find(frameTypes.headers, 99_999);
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 10.5] one that does nothing else is ended', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    for (let i = 0; i < 15; i++) client.send(cancelled(1 + 2_000 * i, 1_000));
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
    expect(served.refused).toEqual(['flood']);
  });

  test('[RFC 9113 10.5] a thousand a second may be cancelled for ever', async () => {
    const { served, clock } = await serve();
    const client = await open(served.port);
    for (let i = 0; i < 30; i++) {
      client.send(cancelled(1 + 2_000 * i, 1_000));
      await client.roundTrip();
      clock.advance(1_000);
    }
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 10.5] requests that make this side cancel them count too', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    const wrong = Array.from({ length: 15_000 }, (_, i) => [
      frame(1, 4, 2 * i + 1, head),
      frame(8, 0, 2 * i + 1, word(0)),
    ]);
    client.send(...wrong.flat());
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
  });
});

const burst = 15_000;
const floods: [name: string, ...frames: Buffer[]][] = [
  ['pings', frame(6, 0, 0, Buffer.alloc(8))],
  ['answers to pings', frame(6, 1, 0, Buffer.alloc(8))],
  ['settings', settings()],
  ['acknowledgements', frame(4, 1, 0)],
  ['priorities', frame(2, 0, 1, Buffer.alloc(5))],
  ['unknown frames', frame(77, 0, 0)],
  ['DATA of nothing', data(1, '')],
  ['DATA of padding', frame(0, 8, 1, Buffer.of(3, 0, 0, 0))],
  ['RST_STREAM of what is over', frame(3, 0, 3, word(8))],
  ['DATA of what is over', data(3, 'x')],
];

describe('frames that say nothing', () => {
  test.each(floods)('[RFC 9113 10.5] a flood of %s', async (_, one) => {
    const { served } = await serve();
    const client = await open(served.port);
    client.send(request(1, [], false), request(3));
    await client.find(frameTypes.headers, 3);
    client.send(Buffer.concat(Array.from({ length: 1_000 }, () => one)));
    await client.roundTrip();
    client.send(Buffer.concat(Array.from({ length: burst }, () => one)));
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
    expect(served.refused).toEqual(['flood']);
  });

  test('[RFC 9113 10.5] a client that pings with each of its requests is served on', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    for (let id = 1; id < 40_000; id += 1_000) {
      for (let i = 0; i < 1_000; i += 2)
        client.send(request(id + i), frame(6, 0, 0, Buffer.alloc(8)));
      await client.roundTrip();
    }
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 10.5] a head without end, in frames of something and of nothing', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    client.send(frame(1, 0, 1, head));
    for (let i = 0; i < 20; i++) client.send(frame(9, 0, 1, Buffer.alloc(16_384, 0x82)));
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
    const other = await open(served.port);
    other.send(frame(1, 0, 1, head), ...Array.from({ length: 100 }, () => frame(9, 0, 1)));
    expect(await other.goaway()).toBe(codes.enhanceYourCalm);
  });

  test('[RFC 9113 10.5] a window opened a byte at a time', async () => {
    const { served } = await serve({
      accept(stream) {
        stream.respond([[':status', '200']]);
        stream.write(Buffer.alloc(100_000));
        return { data() {}, ended() {}, drained() {}, closed() {} };
      },
    });
    const client = await open(served.port, [4, 0]);
    client.send(request(1));
    client.send(Buffer.concat(Array.from({ length: burst }, () => frame(8, 0, 1, word(1)))));
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
  });
});

describe('readers that do not read', () => {
  /** Answers each request with so many bytes. */
  const generous = (bytes: number): Partial<TransportOptions> => ({
    accept: (stream) => ({
      data() {},
      ended() {
        stream.respond([[':status', '200']]);
        stream.write(Buffer.alloc(bytes));
        stream.end();
      },
      drained() {},
      closed() {},
    }),
  });

  /** Moves the clock on until the server has ended what it should end. */
  async function ended(client: RawHttp2, clock: FakeClock, overMs: number): Promise<void> {
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    for (let passed = 0; passed < overMs; passed += 500) clock.advance(500);
    client.socket.resume();
    await closed;
  }

  test('[RFC 9113 10.5] one whose windows stay shut is ended, once more waits than should', async () => {
    const { served, clock } = await serve(generous(5_000_000));
    const client = await open(served.port, [4, 0]);
    client.send(request(1));
    await client.find(frameTypes.headers, 1);
    clock.advance(1_000);
    clock.advance(50_000);
    await client.roundTrip();
    expect(served.refused).toEqual([]);
    await ended(client, clock, 20_000);
    expect(served.refused).toEqual(['slow']);
  });

  test('[RFC 9113 10.5] one that takes what waits for it, however slowly, is not', async () => {
    const { served, clock } = await serve(generous(5_000_000));
    const client = await open(served.port, [4, 0]);
    client.send(request(1), frame(8, 0, 0, word(10_000_000)));
    for (let i = 0; i < 5; i++) {
      client.send(frame(8, 0, 1, word(70_000)));
      await client.roundTrip();
      for (let passed = 0; passed < 40_000; passed += 500) clock.advance(500);
    }
    await client.roundTrip();
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 10.5] one that reads nothing from its socket is not heard either, and ended', async () => {
    const { served, clock } = await serve(generous(100_000));
    const client = await open(served.port, [4, 0x7fff_ffff]);
    client.send(frame(8, 0, 0, word(0x7fff_0000)));
    await client.roundTrip();
    client.socket.pause();
    const [socket] = served.sockets;
    if (socket === undefined) throw new Error('no socket');
    const deaf = new Promise((resolve) => socket.once('pause', resolve));
    const requests = Array.from({ length: 200 }, (_, i) => request(2 * i + 1));
    // Cut amid one: the server reads no more than the first part.
    client.send(Buffer.concat(requests).subarray(0, 4_000));
    await deaf;
    expect(socket.writableLength).toBeLessThan(2_000_000);
    // A part of a head that could not be read is no head that does not end.
    for (let passed = 0; passed < 40_000; passed += 500) clock.advance(500);
    expect(served.refused).toEqual([]);
    await ended(client, clock, 62_000);
    expect(served.refused).toEqual(['slow']);
  });

  test('[RFC 9113 10.5] one that reads again is served on, whole', async () => {
    const { served } = await serve(generous(100_000));
    const client = await open(served.port, [4, 0x7fff_ffff]);
    client.send(frame(8, 0, 0, word(0x7fff_0000)));
    await client.roundTrip();
    client.socket.pause();
    const [socket] = served.sockets;
    const deaf = new Promise((resolve) => socket?.once('pause', resolve));
    const requests = 200;
    for (let i = 0; i < requests; i++) client.send(request(2 * i + 1));
    await deaf;
    client.socket.resume();
    let bytes = 0;
    for (let done = 0; done < requests;) {
      const found = await client.next();
      if (found?.type !== frameTypes.data) continue;
      bytes += found.payload.length;
      if (found.flags === 1) done++;
    }
    expect(bytes).toBe(requests * 100_000);
    await client.roundTrip();
  });
});
