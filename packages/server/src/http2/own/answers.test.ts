import { afterEach, describe, expect, test } from 'vitest';
import {
  data,
  frame,
  greeting,
  RawHttp2,
  request,
  serveHttp2,
  serveSeen,
  word,
} from '../../testing/raw-http2.js';
import type { Fields } from '../transport.js';
import { codes, flags, frameTypes } from './codes.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ok: Fields = [[':status', '200']];
const trailers: Fields = [['grpc-status', '0']];

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

const frameOf = async (client: RawHttp2, id: number): Promise<string> => {
  for (;;) {
    const found = await client.next();
    if (found === undefined) return 'end';
    if (found.id === id) return `${found.type} ${found.flags} ${found.payload.toString('hex')}`;
  }
};

describe('answers', () => {
  test('[RFC 9113 8.1] a head that is all has END_STREAM itself', async () => {
    const { served, told, seen } = await serve((stream) => stream.respond(ok, true));
    const client = await open(served.port);
    client.send(request(1));
    expect(await frameOf(client, 1)).toBe('1 5 2088');
    await told('closed');
    expect(seen[0]?.told).toEqual(['closed']);
  });

  test('[RFC 7541 4.2] the first block says that no table is used; later ones are the same bytes for the same fields', async () => {
    const { served } = await serve((stream) => stream.respond(ok, true));
    const client = await open(served.port, [1, 0]);
    client.send(request(1), request(3));
    expect(await frameOf(client, 1)).toBe('1 5 2088');
    expect(await frameOf(client, 3)).toBe('1 5 88');
  });

  test('[RFC 9113 8.1] head, body, trailers; without trailers an empty DATA ends', async () => {
    const { served } = await serve((stream) => ({
      ended() {
        stream.respond(ok);
        stream.write(Buffer.from('hi'));
        stream.end(stream.path === '/echo' ? trailers : []);
      },
    }));
    const client = await open(served.port);
    client.send(request(1));
    const frames = [await frameOf(client, 1), await frameOf(client, 1), await frameOf(client, 1)];
    expect(frames.slice(0, 2)).toEqual(['1 4 2088', '0 0 6869']);
    expect(frames[2]).toMatch(/^1 5 /);
    client.send(frame(1, 5, 3, Buffer.from('8386' + '84', 'hex')));
    expect(await frameOf(client, 3)).toBe('1 4 88');
    expect(await frameOf(client, 3)).toBe('0 0 6869');
    expect(await frameOf(client, 3)).toBe('0 1 ');
  });

  test('[RFC 9113 4.3] a head longer than a frame goes on in CONTINUATION frames', async () => {
    const long: Fields = [
      [':status', '200'],
      ['x', '\u0001'.repeat(40_000)],
    ];
    const { served } = await serve((stream) => stream.respond(long, true));
    const client = await open(served.port);
    client.send(request(1));
    const lengths: [number, number, number][] = [];
    for (let last = 0; (last & flags.endHeaders) === 0;) {
      const found = await client.next();
      if (found?.id !== 1) continue;
      last = found.flags;
      lengths.push([found.type, found.flags, found.payload.length]);
    }
    expect(lengths).toEqual([
      [1, 1, 16_384],
      [9, 0, 16_384],
      [9, 4, expect.any(Number)],
    ]);
  });

  test('[RFC 9113 8.1] an answer that is whole before its request asks for no more of it, without an error', async () => {
    const { served, told, seen } = await serve((stream) => ({
      data() {
        stream.respond(ok);
        stream.end(trailers);
      },
    }));
    const client = await open(served.port);
    client.send(request(1, [], false), data(1, 'x'));
    expect(await client.reset(1)).toBe(codes.noError);
    await told('closed');
    // What was on its way is nothing to anyone.
    client.send(data(1, 'y'), frame(1, 5, 1), frame(8, 0, 1, word(1)), frame(3, 0, 1, word(0)));
    await client.roundTrip();
    expect(seen[0]?.told).toEqual(['data 1', 'closed']);
  });

  test('the handler is not called from within its own calls', async () => {
    let within = false;
    const { served, told, seen } = await serve((stream) => {
      const calling = (call: () => void): void => {
        within = true;
        call();
        within = false;
      };
      const check = (): void => expect(within).toBe(false);
      return {
        ended: () => calling(() => stream.respond(ok, true)),
        closed: check,
        drained: check,
      };
    });
    const client = await open(served.port);
    client.send(request(1));
    await told('closed');
    expect(seen[0]?.told).toEqual(['ended', 'closed']);
  });

  test('what is sent after the stream has closed, or out of order, goes nowhere', async () => {
    const { served, told, seen } = await serve((stream) => ({
      ended() {
        stream.respond(ok, true);
        stream.respond(ok);
        expect(stream.write(Buffer.from('x'))).toBe(true);
        stream.end(trailers);
        stream.reset(2);
        stream.pause();
        stream.resume();
      },
    }));
    const client = await open(served.port);
    client.send(request(1));
    expect(await frameOf(client, 1)).toBe('1 5 2088');
    await told('closed');
    seen[0]?.stream.respond(ok, true);
    expect((await client.roundTrip()).type).toBe(frameTypes.ping);
  });

  test('a body without a head tells the client that there is no answer', async () => {
    const { served } = await serve((stream) => void stream.write(Buffer.from('x')));
    const client = await open(served.port);
    client.send(request(1));
    expect(await client.reset(1)).toBe(codes.internalError);
  });

  test('[RFC 9113 5.4.2] a stream that the handler gives up is told so, and the handler that it is over', async () => {
    const { served, told } = await serve((stream) => ({ data: () => stream.reset(codes.cancel) }));
    const client = await open(served.port);
    client.send(request(1, [], false), data(1, 'x'), data(1, 'y'));
    expect(await client.reset(1)).toBe(codes.cancel);
    await told('closed');
  });

  test('[RFC 9113 5.1] a stream that the client gives up is over, and so are all when the connection is', async () => {
    const { served, told, seen } = await serve();
    const client = await open(served.port);
    client.send(request(1, [], false), request(3, [], false), frame(3, 0, 1, word(codes.cancel)));
    await told('closed', 0);
    expect(seen[1]?.told).toEqual([]);
    client.close();
    await told('closed', 1);
    expect(seen.map(({ told: all }) => all)).toEqual([['closed'], ['closed']]);
  });

  test('[RFC 9113 5.1.1] streams that last are told apart from all that come and go meanwhile', async () => {
    const lasting = [1, 513, 1_025];
    const { served, seen } = await serve((stream) => ({
      ended: () =>
        stream.respond(
          [
            [':status', '200'],
            ['x-path', stream.path],
          ],
          true,
        ),
    }));
    const client = await open(served.port);
    for (let id = 1; id < 1_200; id += 2) client.send(request(id, [], !lasting.includes(id)));
    await client.roundTrip();
    for (const id of lasting) client.send(data(id, Buffer.alloc(id), true));
    await client.roundTrip();
    for (const id of lasting)
      expect(seen[(id - 1) / 2]?.told).toEqual([`data ${id}`, 'ended', 'closed']);
    expect(seen.every(({ told }) => told.at(-1) === 'closed')).toBe(true);
  });

  test('[RFC 9113 5.1.2] more streams than were allowed are refused, and may be asked again', async () => {
    const served = await serveHttp2({
      streamsMax: 2,
      accept: (stream) => ({
        data() {},
        ended: () => stream.respond(ok, true),
        drained() {},
        closed() {},
      }),
    });
    cleanups.push(() => served[Symbol.asyncDispose]());
    const client = await open(served.port);
    client.send(request(1, [], false), request(3, [], false), request(5), request(7, [], false));
    expect(await client.reset(5)).toBe(codes.refusedStream);
    expect(await client.reset(7)).toBe(codes.refusedStream);
    client.send(data(1, '', true), request(9));
    expect(await frameOf(client, 9)).toBe('1 5 88');
  });
});
