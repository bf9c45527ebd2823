import { once } from 'node:events';
import { Duplex } from 'node:stream';
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
} from '../../testing/raw-http2.js';
import { FakeClock } from '../../../../waymark/src/testing/fake-clock.js';
import type { ServedStream, TransportOptions } from '../transport.js';
import { codes, flags, frameTypes, preface } from './codes.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<TransportOptions> = {}) {
  const clock = new FakeClock();
  const served = await serveHttp2({ clock, ...options });
  cleanups.push(() => served[Symbol.asyncDispose]());
  return { served, clock };
}

async function open(port: number, hello?: Buffer): Promise<RawHttp2> {
  const client = await RawHttp2.open(port, hello);
  cleanups.push(() => client.close());
  return client;
}

/** In the steps in which the server looks at its connections. */
function pass(clock: FakeClock, ms: number): void {
  for (let passed = 0; passed < ms; passed += 500) clock.advance(500);
}

const untilEnd = async (client: RawHttp2): Promise<void> => {
  while ((await client.next()) !== undefined);
};

const closed = (socket: Duplex | undefined): Promise<void> =>
  new Promise((resolve) => socket?.once('close', resolve));

describe('time limits', () => {
  test('a client that never says hello is gone after 10 s, and one that stops amid it', async () => {
    const { served, clock } = await serve();
    const silent = await open(served.port, Buffer.alloc(0));
    const half = await open(served.port, preface.subarray(0, 10));
    // What a server says first tells that it has begun to wait.
    await Promise.all([silent.next(), half.next()]);
    pass(clock, 9_000);
    expect(served.transport.connections).toBe(2);
    pass(clock, 1_500);
    await Promise.all([untilEnd(silent), untilEnd(half)]);
    expect(served.refused).toEqual(['silent', 'silent']);
  });

  test('[RFC 9113 6.5.3] SETTINGS that are not acknowledged are SETTINGS_TIMEOUT', async () => {
    const { served, clock } = await serve();
    const client = await open(served.port, Buffer.concat([preface, frame(4, 0, 0)]));
    await client.roundTrip();
    pass(clock, 31_000);
    expect(await client.goaway()).toBe(codes.settingsTimeout);
  });

  test.each([
    ['HEADERS without CONTINUATION', frame(1, 0, 1, block(post))],
    ['half a HEADERS frame', request(1).subarray(0, 20)],
    ['half of what may be a frame of a head', Buffer.of(0, 0)],
  ])('[RFC 9113 10.5] a head that does not end: %s', async (_, begun) => {
    const { served, clock } = await serve();
    const client = await open(served.port);
    await client.roundTrip();
    client.send(begun);
    await once(served.sockets[0] as Duplex, 'data');
    pass(clock, 9_000);
    expect(served.refused).toEqual([]);
    pass(clock, 2_000);
    expect(await client.goaway()).toBe(codes.enhanceYourCalm);
  });

  test('a body may take its time, whole heads come and go', async () => {
    const { served, clock } = await serve();
    const client = await open(served.port);
    client.send(request(1, [], false));
    await client.roundTrip();
    client.send(data(1, 'x').subarray(0, 9));
    await once(served.sockets[0] as Duplex, 'data');
    pass(clock, 40_000);
    client.socket.write('x');
    client.send(data(1, 'y', true));
    expect((await client.find(frameTypes.data, 1)).payload.toString()).toBe('xy');
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 6.7] a connection that is silent is asked for a sign of life, and ended without one', async () => {
    const { served, clock } = await serve({ pingAfterMs: 60_000, pingTimeoutMs: 5_000 });
    const client = await open(served.port);
    await client.roundTrip();
    pass(clock, 59_000);
    await client.roundTrip();
    pass(clock, 61_000);
    const asked = await client.find(frameTypes.ping);
    expect([asked.flags, asked.payload.length]).toEqual([0, 8]);
    client.send(frame(frameTypes.ping, flags.ack, 0, asked.payload));
    await client.roundTrip();
    pass(clock, 59_000);
    expect(served.refused).toEqual([]);
    pass(clock, 2_000);
    await client.find(frameTypes.ping);
    pass(clock, 4_000);
    expect(served.refused).toEqual([]);
    pass(clock, 2_000);
    await untilEnd(client);
    expect(served.refused).toEqual(['silent']);
  });

  test('a client that does not take its leave is cut off', async () => {
    const { served, clock } = await serve();
    const client = await open(served.port);
    client.socket.allowHalfOpen = true;
    client.send(data(1, 'x'));
    expect((await client.find(frameTypes.goaway)).payload.readUInt32BE(4)).toBe(1);
    const gone = closed(served.sockets[0]);
    expect(served.transport.connections).toBe(1);
    pass(clock, 2_000);
    await gone;
    expect(served.transport.connections).toBe(0);
  });

  test('nothing is left to do when the last connection is gone', async () => {
    const { served, clock } = await serve();
    const client = await open(served.port);
    await client.roundTrip();
    client.close();
    await once(served.sockets[0] as Duplex, 'close');
    pass(clock, 1_000);
    expect([served.transport.connections, clock.timers]).toEqual([0, 0]);
  });
});

describe('leaving', () => {
  const held: ServedStream[] = [];
  const holding: Partial<TransportOptions> = {
    accept(stream) {
      held.push(stream);
      return { data() {}, ended() {}, drained() {}, closed() {} };
    },
  };

  test('[RFC 9113 6.8] a drained client is told first that it should go, then which request was the last; what runs is finished', async () => {
    held.length = 0;
    const { served } = await serve(holding);
    const client = await open(served.port);
    client.send(request(1));
    await client.roundTrip();
    const drained = served.transport.drain(60_000);
    const first = await client.find(frameTypes.goaway);
    expect([first.payload.readUInt32BE(0), first.payload.readUInt32BE(4)]).toEqual([
      0x7fff_ffff, 0,
    ]);
    const { payload } = await client.find(frameTypes.ping);
    // On its way before the client heard: served.
    client.send(request(3), frame(frameTypes.ping, flags.ack, 0, payload), request(5));
    const last = await client.find(frameTypes.goaway);
    expect([last.payload.readUInt32BE(0), last.payload.readUInt32BE(4)]).toEqual([3, 0]);
    await client.roundTrip();
    expect(held).toHaveLength(2);
    for (const stream of held) stream.respond([[':status', '200']], true);
    await client.find(frameTypes.headers, 1);
    await client.find(frameTypes.headers, 3);
    await untilEnd(client);
    await drained;
    expect(served.refused).toEqual([]);
  });

  test('[RFC 9113 6.8] what does not finish is ended with the grace', async () => {
    held.length = 0;
    const { served, clock } = await serve(holding);
    const client = await open(served.port);
    client.send(request(1));
    await client.roundTrip();
    const drained = served.transport.drain(5_000);
    await client.find(frameTypes.goaway);
    pass(clock, 5_000);
    await untilEnd(client);
    await drained;
  });

  test('[RFC 9113 6.8] a client that comes later, or has said nothing yet, is told at once', async () => {
    const { served } = await serve(holding);
    await served.transport.drain(1_000);
    const client = await open(served.port);
    await untilEnd(client);
    expect(served.transport.connections).toBe(0);
  });

  test('[RFC 9113 6.8] a client that leaves has its requests answered, and then the connection ends', async () => {
    held.length = 0;
    const { served } = await serve(holding);
    const client = await open(served.port);
    client.send(request(1), frame(frameTypes.goaway, 0, 0, Buffer.alloc(8)));
    await client.roundTrip();
    held[0]?.respond([[':status', '200']], true);
    await client.find(frameTypes.headers, 1);
    await untilEnd(client);
  });

  test('a socket that fails amid everything is an end like any other', async () => {
    held.length = 0;
    const { served } = await serve(holding);
    const client = await open(served.port);
    client.send(request(1));
    await client.roundTrip();
    const gone = closed(served.sockets[0]);
    client.socket.resetAndDestroy();
    await gone;
    held[0]?.respond([[':status', '200']]);
    held[0]?.write(Buffer.alloc(100_000));
    held[0]?.end();
    expect(served.transport.connections).toBe(0);
  });

  /** A socket that passes nothing on until it is told to. */
  class Slow extends Duplex {
    readonly out: Buffer[] = [];
    #waiting: (() => void) | undefined;
    #slow = true;

    override _read(): void {}

    override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
      this.out.push(Buffer.from(chunk));
      if (this.#slow) this.#waiting = callback;
      else callback();
    }

    go(): void {
      this.#slow = false;
      this.#waiting?.();
    }
  }

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('a socket that is slow is given no more until it has passed on what it has, and little memory waits for it', async () => {
    const { served } = await serve();
    const socket = new Slow();
    served.transport.serve(socket);
    socket.push(greeting());
    await turn();
    const { arrayBuffers } = process.memoryUsage();
    for (let i = 0; i < 2_000; i++) {
      socket.push(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
      await turn();
    }
    expect(socket.out).toHaveLength(1);
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(2_000_000);
    socket.go();
    await turn();
    await turn();
    expect(socket.out).toHaveLength(2);
    expect(socket.out[1]?.length).toBeGreaterThanOrEqual(2_000 * 17);
    socket.destroy();
  });

  test('a socket that is slow holds bodies back, however wide the windows are', async () => {
    let pieces = 0;
    const { served } = await serve({
      accept(stream) {
        stream.respond([[':status', '200']]);
        while (pieces < 10_000 && stream.write(Buffer.alloc(10_000))) pieces++;
        return { data() {}, ended() {}, drained() {}, closed() {} };
      },
    });
    const socket = new Slow();
    served.transport.serve(socket);
    const wide = frame(frameTypes.windowUpdate, 0, 0, Buffer.from('7f000000', 'hex'));
    socket.push(Buffer.concat([greeting([4, 0x7fff_ffff]), wide, request(1)]));
    await turn();
    // 256 KiB on their way, and 64 KiB in the stream.
    expect(pieces * 10_000).toBeLessThan(400_000);
    expect(pieces * 10_000).toBeGreaterThan(300_000);
    socket.destroy();
  });

  test('[RFC 9113 5.4.1] the last words leave, though the socket is slow', async () => {
    const { served } = await serve();
    const socket = new Slow();
    served.transport.serve(socket);
    await turn();
    socket.push(Buffer.concat([greeting(), request(1), data(99, 'x')]));
    await turn();
    expect(socket.out).toHaveLength(1);
    const ended = once(socket, 'finish');
    socket.go();
    await ended;
    const words = Buffer.concat(socket.out);
    const last = frame(frameTypes.goaway, 0, 0, Buffer.alloc(8)).subarray(3, 9);
    expect(words.includes(last)).toBe(true);
    socket.destroy();
  });

  test('any Duplex is served, as TLS brings one', async () => {
    const { served } = await serve();
    const out: Buffer[] = [];
    let answered: () => void = () => {};
    const done = new Promise<void>((resolve) => (answered = resolve));
    const duplex = new Duplex({
      read() {},
      write(chunk: Buffer, _, callback) {
        out.push(Buffer.from(chunk));
        // One write for all that was answered in the turn.
        if (out.length === 2) answered();
        callback();
      },
    });
    served.transport.serve(duplex);
    await new Promise((resolve) => setImmediate(resolve));
    duplex.push(Buffer.concat([greeting(), request(1), request(3), request(5)]));
    await done;
    expect(out).toHaveLength(2);
    expect(served.transport.connections).toBe(1);
    duplex.destroy();
  });
});
