import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  block,
  data,
  echo,
  frame,
  post,
  RawHttp2,
  request,
  type ServedHttp2,
  serveHttp2,
} from '../../testing/raw-http2.js';
import type { Fields, ServedStream } from '../transport.js';
import { codes, frameTypes } from './codes.js';
import { HpackDecoder } from './hpack-decoder.js';

let served: ServedHttp2;
const accepted: ServedStream[] = [];

beforeAll(async () => {
  served = await serveHttp2({
    accept(stream) {
      accepted.push(stream);
      return echo(stream);
    },
  });
});

afterAll(() => served[Symbol.asyncDispose]());

const headOf = (fields: Fields, end = true): Buffer => frame(1, end ? 5 : 4, 1, block(fields));
const without = (name: string): Fields => post.filter(([other]) => other !== name);
const withField = (name: string, value: string): Buffer => headOf([...post, [name, value]]);

const malformed: [rule: string, ...frames: Buffer[]][] = [
  ['8.1.1 content-length and no body', withField('content-length', '3')],
  [
    '8.1.1 content-length less than the body',
    headOf([...post, ['content-length', '1']], false),
    data(1, 'xy', true),
  ],
  [
    '8.1.1 content-length more than the body',
    headOf([...post, ['content-length', '3']], false),
    data(1, 'xy', true),
  ],
  [
    '8.1.1 content-length more than the body, and trailers',
    headOf([...post, ['content-length', '3']], false),
    data(1, 'xy'),
    frame(1, 5, 1),
  ],
  [
    '8.1.1 a body beyond its content-length, unfinished',
    headOf([...post, ['content-length', '1']], false),
    data(1, 'xy'),
  ],
  [
    '8.1.1 content-length twice and different',
    headOf([...post, ['content-length', '1'], ['content-length', '0']]),
  ],
  ['8.1.1 content-length that is no number', withField('content-length', '-1')],
  ['8.1 trailers that do not end', headOf(post, false), frame(1, 4, 1, block([['a', 'b']]))],
  [
    '8.1 trailers with a pseudo-header field',
    headOf(post, false),
    frame(1, 5, 1, block([[':path', '/']])),
  ],
  ['8.2 upper case in a name', withField('X-Own', 'x')],
  ['8.2.1 a space in a name', withField('x own', 'x')],
  ['8.2.1 a colon in a name', withField('x:own', 'x')],
  ['8.2.1 a control in a name', withField('x\u0001own', 'x')],
  ['8.2.1 an empty name', withField('', 'x')],
  ['8.2.1 a name beyond ASCII', withField('x\u00e4', 'x')],
  ['8.2.1 NUL in a value', withField('x-own', 'a\0b')],
  ['8.2.1 CR in a value', withField('x-own', 'a\rb')],
  ['8.2.1 LF in a value', withField('x-own', 'a\nb')],
  ['8.2.1 a value that begins with a space', withField('x-own', ' a')],
  ['8.2.1 a value that ends with a tab', withField('x-own', 'a\t')],
  ['8.2.2 connection', withField('connection', 'close')],
  ['8.2.2 keep-alive', withField('keep-alive', '1')],
  ['8.2.2 proxy-connection', withField('proxy-connection', 'close')],
  ['8.2.2 transfer-encoding', withField('transfer-encoding', 'chunked')],
  ['8.2.2 upgrade', withField('upgrade', 'h2c')],
  ['8.2.2 te other than trailers', withField('te', 'gzip')],
  ['8.3 an unknown pseudo-header field', headOf([[':own', 'x'], ...post])],
  ['8.3 one of answers', headOf([[':status', '200'], ...post])],
  ['8.3 a pseudo-header field after another', headOf([['x', 'y'], ...post])],
  ['8.3.1 no :method', headOf(without(':method'))],
  ['8.3.1 no :scheme', headOf(without(':scheme'))],
  ['8.3.1 no :path', headOf(without(':path'))],
  ['8.3.1 an empty :path', headOf([...without(':path'), [':path', '']])],
  ['8.3.1 a :path that is none', headOf([...without(':path'), [':path', 'echo']])],
  ['8.3.1 * of another method than OPTIONS', headOf([...without(':path'), [':path', '*']])],
  ['8.3.1 :method twice', headOf([[':method', 'POST'], ...post])],
  ['8.3.1 :scheme twice', headOf([[':scheme', 'http'], ...post])],
  ['8.3.1 :path twice', headOf([[':path', '/echo'], ...post])],
  ['8.3.1 :authority twice', headOf([[':authority', 'localhost'], ...post])],
  ['8.5 CONNECT with a :path', headOf([...without(':method'), [':method', 'CONNECT']])],
  ['8.5 CONNECT without :authority', headOf([[':method', 'CONNECT']])],
];

describe('malformed requests are stream errors', () => {
  test.each(malformed)('[RFC 9113 %s]', async (_, ...frames) => {
    const client = await RawHttp2.open(served.port);
    client.send(...frames);
    expect(await client.reset(1)).toBe(codes.protocolError);
    client.send(request(3));
    await client.find(frameTypes.headers, 3);
    client.close();
  });
});

async function accept(...frames: Buffer[]): Promise<ServedStream> {
  accepted.length = 0;
  const client = await RawHttp2.open(served.port);
  client.send(...frames);
  await client.find(frameTypes.headers, 1);
  client.close();
  return accepted[0] as ServedStream;
}

describe('requests', () => {
  test.each([
    'http://127.0.0.1:2379',
    '#initially=[127.0.0.1:2379;10.0.0.1:2379]',
    'localhost:9999999',
    'a b',
    '',
  ])('[RFC 9113 8.3.1] any :authority is taken: %j', async (authority) => {
    const stream = await accept(headOf([...without(':authority'), [':authority', authority]]));
    expect(stream.path).toBe('/echo');
  });

  test('[RFC 9113 8.3.1] what was asked is told: method, path with its query, fields without pseudo-header fields', async () => {
    const more: Fields = [
      ['te', 'trailers'],
      ['x-own', 'one'],
      ['x-own', 'two'],
      ['content-length', '0'],
      ['x-bytes', '\u00ff\u0080'],
    ];
    const stream = await accept(headOf([...without(':path'), [':path', '/a/b?c=%20&d'], ...more]));
    expect([stream.method, stream.path]).toEqual(['POST', '/a/b?c=%20&d']);
    expect(stream.fields).toEqual(more);
    expect([stream.header('x-own'), stream.header('x-none')]).toEqual(['one', undefined]);
    expect(served.sockets).toContain(stream.socket);
  });

  test('[RFC 9113 8.3.1] OPTIONS of *, a request without :authority, and CONNECT', async () => {
    const options = [
      [':method', 'OPTIONS'],
      [':scheme', 'http'],
      [':path', '*'],
    ] as const;
    expect((await accept(headOf(options))).path).toBe('*');
    expect((await accept(headOf(without(':authority')))).path).toBe('/echo');
    const connect = [
      [':method', 'CONNECT'],
      [':authority', 'example.com:443'],
    ] as const;
    const { method, path } = await accept(headOf(connect));
    expect([method, path]).toEqual(['CONNECT', '']);
  });

  test('[RFC 9113 8.1.1] content-length equal to the body, in pieces and with trailers', async () => {
    const client = await RawHttp2.open(served.port);
    client.send(
      headOf([...post, ['content-length', '4'], ['content-length', '4']], false),
      data(1, 'ab'),
      data(1, 'cd'),
      frame(1, 5, 1, block([['x-checksum', '1']])),
    );
    expect((await client.find(frameTypes.data, 1)).payload.toString()).toBe('abcd');
    client.close();
  });

  test('[RFC 9113 10.5.1] a head beyond the limit is answered with 431, and the connection goes on', async () => {
    const client = await RawHttp2.open(served.port);
    const long = headOf(
      [...post, ...Array.from({ length: 5 }, () => ['x', 'y'.repeat(16_000)] as const)],
      false,
    );
    expect(long.length).toBeGreaterThan(65_536);
    const whole = long.subarray(9);
    client.send(frame(1, 0, 1, whole.subarray(0, 16_000)));
    for (let at = 16_000; at < whole.length; at += 16_000)
      client.send(
        frame(9, at + 16_000 >= whole.length ? 4 : 0, 1, whole.subarray(at, at + 16_000)),
      );
    const { payload, flags } = await client.find(frameTypes.headers, 1);
    expect(flags).toBe(5);
    expect(statusOf(payload)).toBe('431');
    expect(await client.reset(1)).toBe(codes.noError);
    client.send(data(1, 'late', true), request(3));
    await client.find(frameTypes.headers, 3);
    client.close();
  });
});

test('[RFC 9113 10.5.1] few bytes that say much are read, not kept, and answered with 431', async () => {
  const client = await RawHttp2.open(served.port);
  // 4 000 bytes into the table, and then 10 000 times what is there: 40 MB.
  const entry = Buffer.concat([
    Buffer.from('4001617fa11e', 'hex'),
    Buffer.alloc(4_000, 0x62),
    Buffer.alloc(10_000, 0xbe),
  ]);
  client.send(frame(1, 5, 1, Buffer.concat([block(post), entry])));
  expect(statusOf((await client.find(frameTypes.headers, 1)).payload)).toBe('431');
  client.send(request(3));
  await client.find(frameTypes.headers, 3);
  client.close();
});

function statusOf(payload: Buffer): string | undefined {
  let status: string | undefined;
  new HpackDecoder(65_536).read(payload, 0, payload.length, {
    add({ field: [name, value] }) {
      if (name === ':status') status = value;
    },
  });
  return status;
}
