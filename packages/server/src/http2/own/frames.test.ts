import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  block,
  data,
  frame,
  post,
  RawHttp2,
  request,
  type ServedHttp2,
  serveHttp2,
  settings,
  word,
} from '../../testing/raw-http2.js';
import { codes, flags, frameTypes, preface } from './codes.js';

let served: ServedHttp2;

beforeAll(async () => {
  served = await serveHttp2();
});

afterAll(() => served[Symbol.asyncDispose]());

const { endHeaders, endStream, padded, ack } = flags;
const empty = Buffer.alloc(0);
const head = block(post);
const pad = (length: number, ...bytes: Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.of(length), ...bytes, Buffer.alloc(length)]);

/** A connection error: after each of these comes a GOAWAY with the code, and the end. */
const fatal: [rule: string, code: number, ...frames: Buffer[]][] = [
  [
    '4.2 a frame longer than was allowed',
    codes.frameSizeError,
    frame(9, 0, 1, Buffer.alloc(16_385)),
  ],
  [
    '4.2 a long DATA too',
    codes.frameSizeError,
    request(1, [], false),
    data(1, Buffer.alloc(16_385)),
  ],
  [
    '4.3 a head that cannot be decompressed',
    codes.compressionError,
    frame(1, 5, 1, Buffer.of(0xff)),
  ],
  [
    '4.3 a frame within a head',
    codes.protocolError,
    frame(1, 0, 1, head),
    frame(6, 0, 0, Buffer.alloc(8)),
  ],
  [
    '4.3 an unknown frame within a head',
    codes.protocolError,
    frame(1, 0, 1, head),
    frame(99, 0, 0),
  ],
  ['4.3 another head within a head', codes.protocolError, frame(1, 0, 1, head), request(3)],
  ['5.1.1 an even stream', codes.protocolError, request(2)],
  ['5.1.1 a stream older than the last', codes.streamClosed, request(5), request(3)],
  ['5.1 DATA of an idle stream', codes.protocolError, data(1, 'x', true)],
  ['5.1 RST_STREAM of an idle stream', codes.protocolError, frame(3, 0, 1, word(8))],
  ['5.1 WINDOW_UPDATE of an idle stream', codes.protocolError, frame(8, 0, 1, word(1))],
  ['5.1 DATA of an even stream', codes.protocolError, request(3), data(2, 'x')],
  ['5.1 CONTINUATION of an idle stream', codes.protocolError, frame(9, endHeaders, 1, head)],
  ['6.1 DATA of the connection', codes.protocolError, data(0, 'x')],
  [
    '6.1 more padding than DATA',
    codes.protocolError,
    request(1, [], false),
    frame(0, padded, 1, Buffer.of(5, 0, 0, 0, 0)),
  ],
  [
    '6.1 padded DATA without a byte',
    codes.frameSizeError,
    request(1, [], false),
    frame(0, padded, 1),
  ],
  ['6.2 HEADERS of the connection', codes.protocolError, frame(1, endHeaders, 0, head)],
  [
    '6.2 more padding than HEADERS',
    codes.protocolError,
    frame(1, endHeaders | padded, 1, Buffer.of(4, 0x82, 0, 0)),
  ],
  [
    '6.2 HEADERS too short for a priority',
    codes.protocolError,
    frame(1, endHeaders | flags.priority, 1, Buffer.of(0, 0)),
  ],
  ['6.3 PRIORITY of the connection', codes.protocolError, frame(2, 0, 0, Buffer.alloc(5))],
  ['6.3 PRIORITY of a wrong length', codes.frameSizeError, frame(2, 0, 1, Buffer.alloc(4))],
  ['6.4 RST_STREAM of the connection', codes.protocolError, frame(3, 0, 0, word(8))],
  [
    '6.4 RST_STREAM of a wrong length',
    codes.frameSizeError,
    request(1, [], false),
    frame(3, 0, 1, Buffer.alloc(3)),
  ],
  ['6.5 SETTINGS of a stream', codes.protocolError, frame(4, 0, 1)],
  ['6.5 SETTINGS of a wrong length', codes.frameSizeError, frame(4, 0, 0, Buffer.alloc(5))],
  [
    '6.5 an acknowledgement that says something',
    codes.frameSizeError,
    frame(4, ack, 0, Buffer.alloc(6)),
  ],
  ['6.5.2 ENABLE_PUSH of 2', codes.protocolError, settings([2, 2])],
  ['6.5.2 INITIAL_WINDOW_SIZE beyond 2³¹−1', codes.flowControlError, settings([4, 0x8000_0000])],
  ['6.5.2 MAX_FRAME_SIZE below 16 384', codes.protocolError, settings([5, 16_383])],
  ['6.5.2 MAX_FRAME_SIZE beyond 2²⁴−1', codes.protocolError, settings([5, 0x100_0000])],
  [
    '6.6 a push by a client',
    codes.protocolError,
    frame(5, endHeaders, 1, Buffer.concat([word(2), head])),
  ],
  ['6.7 PING of a stream', codes.protocolError, frame(6, 0, 1, Buffer.alloc(8))],
  ['6.7 PING of a wrong length', codes.frameSizeError, frame(6, 0, 0, Buffer.alloc(7))],
  ['6.8 GOAWAY of a stream', codes.protocolError, frame(7, 0, 1, word(0, 0))],
  ['6.8 GOAWAY of a wrong length', codes.frameSizeError, frame(7, 0, 0, word(0))],
  ['6.9 the connection opened by nothing', codes.protocolError, frame(8, 0, 0, word(0))],
  ['6.9 WINDOW_UPDATE of a wrong length', codes.frameSizeError, frame(8, 0, 0, Buffer.alloc(3))],
  [
    '6.9.1 the connection opened beyond 2³¹−1',
    codes.flowControlError,
    frame(8, 0, 0, word(0x7fff_ffff)),
  ],
  [
    '6.9.2 a stream opened beyond 2³¹−1 by SETTINGS',
    codes.flowControlError,
    request(1, [], false),
    frame(8, 0, 1, word(1_000)),
    settings([4, 0x7fff_ffff]),
  ],
  [
    '6.10 a CONTINUATION of nothing',
    codes.protocolError,
    request(1, [], false),
    frame(9, endHeaders, 1, head),
  ],
  [
    '6.10 a CONTINUATION of another stream',
    codes.protocolError,
    frame(1, 0, 1, head),
    frame(9, endHeaders, 3, empty),
  ],
];

describe('connection errors', () => {
  test.each(fatal)('[RFC 9113 %s]', async (_, code, ...frames) => {
    const client = await RawHttp2.open(served.port);
    client.send(...frames);
    expect(await client.goaway()).toBe(code);
  });
});

/** A stream error of stream 1: RST_STREAM with the code, and the connection goes on. */
const ofStream: [rule: string, code: number, ...frames: Buffer[]][] = [
  [
    '5.1 DATA after the end',
    codes.streamClosed,
    settings([4, 0]),
    request(1, [], false),
    data(1, 'x', true),
    data(1, 'x'),
  ],
  [
    '5.1 HEADERS after the end',
    codes.streamClosed,
    settings([4, 0]),
    request(1, [], false),
    data(1, 'x', true),
    request(1),
  ],
  [
    '6.3 PRIORITY of a wrong length',
    codes.frameSizeError,
    request(1, [], false),
    frame(2, 0, 1, Buffer.alloc(4)),
  ],
  [
    '6.9 a stream opened by nothing',
    codes.protocolError,
    request(1, [], false),
    frame(8, 0, 1, word(0)),
  ],
  [
    '6.9.1 a stream opened beyond 2³¹−1',
    codes.flowControlError,
    request(1, [], false),
    frame(8, 0, 1, word(0x7fff_ffff)),
  ],
];

describe('stream errors', () => {
  test.each(ofStream)('[RFC 9113 %s]', async (_, code, ...frames) => {
    const client = await RawHttp2.open(served.port);
    client.send(...frames);
    expect(await client.reset(1)).toBe(code);
    client.send(settings([4, 65_535]), request(9));
    await client.find(frameTypes.headers, 9);
    client.close();
  });
});

/** None of these is an error: the request on stream 1 is answered. */
const harmless: [rule: string, ...frames: Buffer[]][] = [
  ['3.4 SETTINGS again, and their acknowledgement', settings([3, 1]), frame(4, ack, 0), request(1)],
  ['4.1 an unknown frame is nothing', frame(0xbe, 0xff, 7, Buffer.alloc(100)), request(1)],
  [
    '4.1 unknown flags and the reserved bit are nothing',
    frame(1, 0xd0 | endHeaders | endStream, 0x8000_0001, head),
  ],
  ['5.1 PRIORITY of an idle stream', frame(2, 0, 1, Buffer.alloc(5)), request(1)],
  [
    '5.1 WINDOW_UPDATE and RST_STREAM of a closed stream',
    request(1),
    frame(8, 0, 1, word(1)),
    frame(3, 0, 1, word(8)),
  ],
  [
    '6.1 padded DATA',
    request(1, [['content-length', '2']], false),
    frame(0, padded | endStream, 1, pad(9, Buffer.from('hi'))),
  ],
  ['6.1 nothing but padding', request(1, [], false), frame(0, padded | endStream, 1, pad(255))],
  ['6.2 padded HEADERS with a priority', frame(1, 0x2d, 1, pad(3, Buffer.alloc(5), head))],
  [
    '6.2 a stream that depends on itself: priorities mean nothing',
    frame(1, 0x25, 1, Buffer.concat([word(1), Buffer.of(16), head])),
  ],
  [
    '6.3 PRIORITY amid a stream',
    request(1, [], false),
    frame(2, 0, 1, word(1, 0).subarray(0, 5)),
    data(1, '', true),
  ],
  ['6.5.2 an unknown setting', settings([99, 7], [8, 1]), request(1)],
  [
    '6.5.2 limits that bear on what this side never sends',
    settings([1, 0], [2, 0], [3, 0], [5, 0xff_ffff], [6, 10]),
    request(1),
  ],
  ['6.9 a window opened bit by bit', frame(8, 0, 0, word(0x8000_0001)), request(1)],
  [
    '6.10 a head in pieces, some empty',
    frame(1, endStream, 1, head.subarray(0, 3)),
    frame(9, 0, 1),
    frame(9, 0, 1, head.subarray(3, 9)),
    frame(9, endHeaders, 1, head.subarray(9)),
  ],
  [
    '8.1 trailers end a request',
    request(1, [], false),
    data(1, 'x'),
    frame(1, 5, 1, block([['a', 'b']])),
  ],
  ['8.1 an empty head may end a request', request(1, [], false), frame(1, 5, 1)],
];

describe('what is no error', () => {
  test.each(harmless)('[RFC 9113 %s]', async (_, ...frames) => {
    const client = await RawHttp2.open(served.port);
    client.send(...frames);
    const { flags: told } = await client.find(frameTypes.headers, 1);
    expect(told).toBe(endHeaders);
    for (;;) {
      const { type, id, flags: last } = (await client.next()) ?? { type: -1, id: 0, flags: 0 };
      expect([frameTypes.rstStream, frameTypes.goaway, -1]).not.toContain(type);
      if (id === 1 && (last & endStream) !== 0) break;
    }
    await client.roundTrip();
    client.close();
  });

  test('[RFC 9113 4.1] frames may come a byte at a time', async () => {
    const client = await RawHttp2.open(served.port, empty);
    const bytes = Buffer.concat([
      preface,
      settings(),
      request(1, [], false),
      data(1, 'body', true),
    ]);
    for (const byte of bytes) {
      client.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.find(frameTypes.data, 1)).payload.toString()).toBe('body');
    client.close();
  });
});

describe('the beginning', () => {
  test('[RFC 9113 3.4] the first frame is SETTINGS, and those of the client are acknowledged', async () => {
    const client = await RawHttp2.open(served.port);
    const first = await client.next();
    expect([first?.type, first?.flags, first?.id]).toEqual([frameTypes.settings, 0, 0]);
    expect(first?.payload).toEqual(settings([3, 1_000], [4, 262_144], [6, 65_536]).subarray(9));
    const acknowledged = await client.find(frameTypes.settings);
    expect([acknowledged.flags, acknowledged.payload.length]).toEqual([ack, 0]);
    client.close();
  });

  test.each([
    ['no preface', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    [
      'half a preface and something else',
      Buffer.concat([preface.subarray(0, 20), Buffer.alloc(20)]),
    ],
    ['a preface without SETTINGS', Buffer.concat([preface, request(1)])],
    ['a preface with an acknowledgement', Buffer.concat([preface, frame(4, ack, 0)])],
  ])('[RFC 9113 3.4] %s is refused', async (_, hello) => {
    const client = await RawHttp2.open(served.port, hello);
    expect(await client.goaway()).toBe(codes.protocolError);
  });

  test('[RFC 9113 6.7] a PING is answered with its bytes', async () => {
    const client = await RawHttp2.open(served.port);
    const { flags: told, payload } = await client.roundTrip();
    expect([told, payload.toString()]).toEqual([ack, 'roundtrp']);
    client.close();
  });
});
