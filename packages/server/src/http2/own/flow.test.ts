import { afterEach, describe, expect, test } from 'vitest';
import {
  data,
  frame,
  greeting,
  RawHttp2,
  request,
  serveSeen,
  settings,
  word,
} from '../../testing/raw-http2.js';
import type { Fields, ServedStream } from '../transport.js';
import { codes, flags, frameTypes } from './codes.js';
import { connectionWindowBytes, streamWindowBytes } from './receive-flow.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ok: Fields = [[':status', '200']];

async function serve(act?: Parameters<typeof serveSeen>[0]) {
  const all = await serveSeen(act);
  cleanups.push(() => all.served[Symbol.asyncDispose]());
  return all;
}

async function open(port: number, ...values: [number, number][]): Promise<RawHttp2> {
  const client = await RawHttp2.open(port, greeting(...values));
  cleanups.push(() => client.close());
  return client;
}

/** Answers at once with so many bytes, each the number of its place. */
const answerWith =
  (bytes: number) =>
  (stream: ServedStream): void => {
    stream.respond(ok);
    stream.write(Buffer.from(Array.from({ length: bytes }, (_, i) => i & 0xff)));
    stream.end();
  };

/** The DATA that has come by the answer to a ping, by stream. */
async function bodies(client: RawHttp2): Promise<Map<number, Buffer>> {
  client.send(frame(frameTypes.ping, 0, 0, Buffer.from('so far..')));
  const all = new Map<number, Buffer>();
  for (;;) {
    const found = await client.next();
    if (found === undefined) throw new Error('ended');
    if (found.type === frameTypes.ping && found.payload.toString() === 'so far..') return all;
    if (found.type !== frameTypes.data) continue;
    expect(found.payload.length).toBeLessThanOrEqual(16_384);
    all.set(found.id, Buffer.concat([all.get(found.id) ?? Buffer.alloc(0), found.payload]));
  }
}

const sizes = async (client: RawHttp2): Promise<[number, number][]> =>
  [...(await bodies(client))].map(([id, body]) => [id, body.length]);

describe('what is sent', () => {
  test('[RFC 9113 6.9.1] goes as far as the window of the stream, and on when it opens', async () => {
    const { served, told } = await serve(answerWith(1_000));
    const client = await open(served.port, [4, 300]);
    client.send(request(1));
    expect(await sizes(client)).toEqual([[1, 300]]);
    client.send(frame(8, 0, 1, word(1)));
    expect(await sizes(client)).toEqual([[1, 1]]);
    client.send(frame(8, 0, 1, word(10_000)));
    const rest = await bodies(client);
    expect(rest.get(1)?.length).toBe(699);
    expect(rest.get(1)?.[0]).toBe(301 & 0xff);
    await told('closed');
  });

  test('[RFC 9113 6.9.1] goes as far as the window of the connection, streams taking turns', async () => {
    const { served } = await serve(answerWith(60_000));
    const client = await open(served.port, [4, 1_000_000]);
    client.send(request(1), request(3), request(5));
    const before = new Map(await sizes(client));
    expect([...before.values()].reduce((sum, bytes) => sum + bytes)).toBe(65_535);
    client.send(frame(8, 0, 0, word(49_152)));
    // Those that wait get a frame each.
    const after = await sizes(client);
    expect(after.map(([, bytes]) => bytes)).toEqual(expect.arrayContaining([16_384]));
    expect(after.length).toBeGreaterThan(1);
    client.send(frame(8, 0, 0, word(1_000_000)));
    const rest = new Map(await sizes(client));
    for (const id of [1, 3, 5]) {
      const middle = after.find(([other]) => other === id)?.[1] ?? 0;
      expect((before.get(id) ?? 0) + middle + (rest.get(id) ?? 0)).toBe(60_000);
    }
  });

  test('[RFC 9113 6.9.1] the window of the connection holds for small bodies too', async () => {
    const { served } = await serve(answerWith(10_000));
    const client = await open(served.port);
    client.send(...Array.from({ length: 10 }, (_, i) => request(2 * i + 1)));
    const sent = (await sizes(client)).reduce((sum, [, bytes]) => sum + bytes, 0);
    expect(sent).toBe(65_535);
  });

  test('[RFC 9113 6.9.2] a new initial window holds for the streams that are open', async () => {
    const { served } = await serve(answerWith(1_000));
    const client = await open(served.port, [4, 100]);
    client.send(request(1));
    expect(await sizes(client)).toEqual([[1, 100]]);
    client.send(settings([4, 250]));
    expect(await sizes(client)).toEqual([[1, 150]]);
    // Down: the window is at −200 then, and opens when that much has come back.
    client.send(settings([4, 50]), frame(8, 0, 1, word(200)));
    expect(await sizes(client)).toEqual([]);
    client.send(frame(8, 0, 1, word(7)));
    expect(await sizes(client)).toEqual([[1, 7]]);
  });

  test('[RFC 9113 6.9] heads and trailers need no window; the end waits for the body', async () => {
    const { served } = await serve((stream) => {
      stream.respond(ok);
      if (stream.path === '/echo') stream.write(Buffer.from('x'));
      stream.end([['a', 'b']]);
    });
    const client = await open(served.port, [4, 0]);
    client.send(request(1), frame(1, 5, 3, Buffer.from('838684', 'hex')));
    expect((await client.find(frameTypes.headers, 1)).flags).toBe(flags.endHeaders);
    await client.find(frameTypes.headers, 3);
    expect((await client.find(frameTypes.headers, 3)).flags).toBe(5);
    client.send(frame(8, 0, 1, word(1)));
    await client.find(frameTypes.data, 1);
    expect((await client.find(frameTypes.headers, 1)).flags).toBe(5);
  });

  test('`write` says when to wait, and `drained` when to go on', async () => {
    let written = 0;
    const pieces = (stream: ServedStream): void => {
      do written += 1_000;
      while (stream.write(Buffer.alloc(1_000)));
    };
    const { served, told, seen } = await serve((stream) => ({
      ended() {
        stream.respond(ok);
        pieces(stream);
      },
      drained: () => pieces(stream),
    }));
    const client = await open(served.port, [4, 5_000]);
    client.send(request(1));
    expect(await sizes(client)).toEqual([[1, 5_000]]);
    expect(written).toBeGreaterThan(65_536);
    expect(written).toBeLessThan(80_000);
    expect(seen[0]?.told).toEqual(['ended']);
    client.send(frame(8, 0, 1, word(written)), frame(8, 0, 0, word(written)));
    await told('drained');
    expect(written).toBeGreaterThan(130_000);
  });

  test('all streams of a connection together hold back no more than its bound', async () => {
    let written = 0;
    const { served } = await serve((stream) => ({
      ended() {
        stream.respond(ok);
        do written += 16_000;
        while (stream.write(Buffer.alloc(16_000)));
      },
    }));
    const client = await open(served.port, [4, 0]);
    client.send(...Array.from({ length: 900 }, (_, i) => request(2 * i + 1)));
    await client.roundTrip();
    // 4 MiB, and one piece for each stream beyond.
    expect(written).toBeLessThan(4_194_304 + 900 * 16_000 + 100_000);
    expect(written).toBeGreaterThan(4_194_304);
  });
});

describe('what is received', () => {
  test('[RFC 9113 6.9.1] a stream that sends more than its window is given up', async () => {
    const { served } = await serve((stream) => stream.pause());
    const client = await open(served.port);
    client.send(request(1, [], false), ...chunks(1, streamWindowBytes), data(1, 'x'));
    expect(await client.reset(1)).toBe(codes.flowControlError);
    await client.roundTrip();
  });

  test('[RFC 9113 6.9.1] a connection that sends more than its window is ended', async () => {
    const { served } = await serve((stream) => stream.pause());
    const client = await open(served.port);
    const streams = connectionWindowBytes / streamWindowBytes;
    for (let i = 0; i < streams; i++) {
      const id = 2 * i + 1;
      client.send(request(id, [], false), ...chunks(id, streamWindowBytes));
    }
    await client.roundTrip();
    client.send(request(999, [], false), data(999, 'x'));
    expect(await client.goaway()).toBe(codes.flowControlError);
  });

  test('[RFC 9113 6.9] windows are given back in large parts, padding and all', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    const padded = frame(0, flags.padded, 1, Buffer.concat([Buffer.of(99), Buffer.alloc(16_383)]));
    client.send(request(1, [], false));
    for (let i = 0; i < 7; i++) client.send(padded);
    expect((await client.roundTrip()).type).toBe(frameTypes.ping);
    client.send(padded);
    const update = await client.find(frameTypes.windowUpdate, 1);
    expect(update.payload.readUInt32BE(0)).toBe(8 * 16_384);
  });

  test('[RFC 9113 6.9] what comes for streams that are given up, or is wrong, is given back to the connection', async () => {
    const { served } = await serve((stream) => stream.reset(codes.cancel));
    const client = await open(served.port);
    const frames = connectionWindowBytes / 16_384 + 10;
    client.send(request(1, [], false));
    for (let i = 0; i < frames; i++) client.send(...chunks(1, 16_384));
    await client.roundTrip();
    const other = await open((await serve()).served.port);
    for (let i = 0; i < frames; i++) {
      const id = 2 * i + 1;
      other.send(request(id, [['content-length', '1']], false), ...chunks(id, 16_384));
    }
    await other.roundTrip();
  });

  test('[RFC 9113 6.9] a stream goes on for more than its window', async () => {
    const { served, told } = await serve();
    const client = await open(served.port);
    client.send(request(1, [], false));
    for (let i = 0; i < 5; i++) {
      client.send(...chunks(1, streamWindowBytes / 2));
      await client.roundTrip();
    }
    client.send(data(1, 'x', true));
    await told('ended');
  });

  test('[RFC 9113 6.9] the connection goes on for more than its window', async () => {
    const { served } = await serve();
    const client = await open(served.port);
    const [first] = [await client.find(frameTypes.windowUpdate, 0)];
    expect(first.payload.readUInt32BE(0)).toBe(connectionWindowBytes - 65_535);
    for (let id = 1, sent = 0; sent < 3 * connectionWindowBytes; id += 2) {
      client.send(request(id, [], false), ...chunks(id, streamWindowBytes, true));
      sent += streamWindowBytes;
      if (id % 16 === 15) await client.roundTrip();
    }
    await client.roundTrip();
  });

  test('[RFC 9113 5.2.2] a paused stream hears nothing until it goes on, and then all in order', async () => {
    let paused: ServedStream | undefined;
    const { served, told, seen } = await serve((stream) => {
      paused = stream;
      return { data: () => stream.pause() };
    });
    const client = await open(served.port);
    client.send(request(1, [], false), data(1, 'a'), data(1, 'bb'), data(1, 'ccc', true));
    await client.roundTrip();
    expect(seen[0]?.told).toEqual(['data 1']);
    paused?.resume();
    expect(seen[0]?.told).toEqual(['data 1']);
    await told('data 2');
    await client.roundTrip();
    expect(seen[0]?.told).toEqual(['data 1', 'data 2']);
    paused?.resume();
    await told('data 3');
    paused?.resume();
    await told('ended');
    expect(seen[0]?.told).toEqual(['data 1', 'data 2', 'data 3', 'ended']);
  });

  test('[RFC 9113 5.2.2] what comes while held bytes are still to be told comes after them', async () => {
    const { served, told, seen } = await serve((stream) => stream.pause());
    const client = await open(served.port);
    client.send(request(1, [], false), data(1, 'a'), data(1, 'bb'));
    await client.roundTrip();
    expect(seen[0]?.told).toEqual([]);
    seen[0]?.stream.resume();
    served.sockets[0]?.emit('data', data(1, 'ccc', true));
    await told('ended');
    expect(seen[0]?.told).toEqual(['data 1', 'data 2', 'data 3', 'ended']);
  });

  test('[RFC 9113 5.2.2] a paused stream gets no window; one that is over gives its share of the connection back', async () => {
    const { served, seen } = await serve((stream) => stream.pause());
    const client = await open(served.port);
    const streams = connectionWindowBytes / streamWindowBytes;
    await client.find(frameTypes.windowUpdate, 0);
    for (let i = 0; i < streams; i++)
      client.send(request(2 * i + 1, [], false), ...chunks(2 * i + 1, streamWindowBytes));
    await client.roundTrip();
    for (let i = 0; i < streams; i++) client.send(frame(3, 0, 2 * i + 1, word(codes.cancel)));
    const back = await client.find(frameTypes.windowUpdate);
    expect([back.id, back.payload.readUInt32BE(0)]).toEqual([0, connectionWindowBytes / 2]);
    expect(seen.every(({ told }) => !told.some((what) => what.startsWith('data')))).toBe(true);
  });
});

function chunks(id: number, bytes: number, end = false): Buffer[] {
  const count = bytes / 16_384;
  return Array.from({ length: count }, (_, i) =>
    data(id, Buffer.alloc(16_384), end && i === count - 1),
  );
}
