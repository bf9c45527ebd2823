import {
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { isWaymarkError } from '../../../core/errors.js';
import { writeSecretField } from './fields.js';
import { CallFailure } from './unary-answer.js';
import { UnaryConnection } from './unary-connection.js';

/** Against Node's own HTTP/2: what it says is what any peer may say. */

const path = '/etcdserverpb.KV/Txn';
let server: Http2Server | Server | undefined;
const sessions: ServerHttp2Session[] = [];

afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
  server?.close();
});

type Answer = (stream: ServerHttp2Stream, body: Buffer, head: Record<string, unknown>) => void;

async function connected(answer: Answer, settings: Settings = {}): Promise<UnaryConnection> {
  const http = createServer({ settings });
  server = http;
  http.on('session', (session) => sessions.push(session));
  http.on('stream', (stream, head) => {
    const pieces: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => answer(stream, Buffer.concat(pieces), head));
  });
  const connection = new UnaryConnection({ address: await listening(http), tls: null, path });
  await expect.poll(() => connection.stands).toBe(true);
  return connection;
}

async function listening(of: Http2Server | Server): Promise<string> {
  await new Promise<void>((resolve) => of.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(of.address() as AddressInfo).port}`;
}

function call(connection: UnaryConnection, message: Buffer, fields: Buffer | null = null) {
  return new Promise<Buffer>((resolve, reject) => {
    connection.call(message, fields, (error, answer) => {
      if (error === null) resolve(answer as Buffer);
      else reject(error);
    });
  });
}

/** Answers with the message that was asked with, and says how it ended. */
function echo(stream: ServerHttp2Stream, body: Buffer, trailers: Record<string, string>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(body);
}

const fine: Answer = (stream, body) => echo(stream, body, { 'grpc-status': '0' });
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => at * 7));

test('messages of any size arrive as they were', async () => {
  const connection = await connected(fine);
  for (const length of [0, 1, 16_378, 16_379, 16_380, 32_763, 32_764]) {
    await expect.poll(() => connection.takes(length)).toBe(true);
    const message = bytes(length);
    expect((await call(connection, message)).equals(message)).toBe(true);
  }
});

test('answers are larger than any window at first', async () => {
  const large = bytes(3_000_000);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(large.length, 1);
  const connection = await connected((stream) => fine(stream, Buffer.concat([prefix, large]), {}));
  const answers = await Promise.all([1, 2, 3].map(() => call(connection, bytes(9))));
  expect(answers.map((answer) => answer.equals(large))).toEqual([true, true, true]);
});

test('the head of a call is what gRPC asks for, and fields of the caller', async () => {
  const connection = await connected((stream, body, head) => {
    const shown = [':method', ':scheme', ':path', 'te', 'content-type', 'token'];
    const text = Buffer.from(JSON.stringify(shown.map((name) => head[name])));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(text.length, 1);
    echo(stream, Buffer.concat([prefix, text]), { 'grpc-status': '0' });
  });
  const answer = await call(connection, bytes(3), writeSecretField('token', 'secret.17'));
  expect(JSON.parse(answer.toString())).toEqual([
    'POST',
    'http',
    path,
    'trailers',
    'application/grpc',
    'secret.17',
  ]);
});

test('a refusal comes with its status and words, short or longer than a frame', async () => {
  const words = 'etcdserver: duplicate key given – '.repeat(900);
  const trailers = { 'grpc-status': '3', 'grpc-message': encodeURIComponent(words) };
  const connection = await connected((stream) => {
    stream.respond({ ':status': 200, ...trailers }, { endStream: true });
  });
  const refused = call(connection, bytes(10));
  await expect(refused).rejects.toBeInstanceOf(CallFailure);
  await expect(refused).rejects.toMatchObject({ code: 3, details: words });
});

test('what is no answer of gRPC is a failure', async () => {
  const connection = await connected((stream) =>
    stream.respond({ ':status': 404 }, { endStream: true }),
  );
  await expect(call(connection, bytes(10))).rejects.toMatchObject({ code: 2, details: /404/ });
});

test('half an answer is a failure', async () => {
  const connection = await connected((stream, body) =>
    echo(stream, body.subarray(0, -1), { 'grpc-status': '0' }),
  );
  await expect(call(connection, bytes(10))).rejects.toMatchObject({ code: 13 });
});

test('[K11] a call that the peer refused to look at was certainly not done; one that it reset may have been', async () => {
  let code: number = constants.NGHTTP2_REFUSED_STREAM;
  const connection = await connected((stream) => stream.close(code));
  const refused = await call(connection, bytes(10)).catch((error: unknown) => error);
  expect(isWaymarkError(refused, 'unavailable')).toBe(true);
  code = constants.NGHTTP2_INTERNAL_ERROR;
  await expect(call(connection, bytes(10))).rejects.toMatchObject({ code: 14 });
});

test('[K11] of a peer that takes leave: what it did not look at was not done, the rest is answered', async () => {
  const streams: ServerHttp2Stream[] = [];
  const connection = await connected((stream) => streams.push(stream));
  const calls = [1, 2].map((length) => call(connection, bytes(length)));
  const last = call(connection, bytes(3)).catch((error: unknown) => error);
  await expect.poll(() => streams.length).toBe(3);
  sessions[0]?.goaway(0, streams[1]?.id);
  expect(isWaymarkError(await last, 'unavailable')).toBe(true);
  expect([connection.takes(1), connection.gone]).toEqual([false, true]);
  for (const stream of streams.slice(0, 2)) fine(stream, Buffer.alloc(5), {});
  expect((await Promise.all(calls)).map((answer) => answer.length)).toEqual([0, 0]);
});

test('[K11] a connection that ends leaves its calls open to doubt', async () => {
  const connection = await connected(() => sessions[0]?.destroy());
  await expect(call(connection, bytes(10))).rejects.toMatchObject({ code: 14 });
  expect([connection.takes(1), connection.gone]).toEqual([false, true]);
});

test('it takes what fits into the windows that are open, and no more calls than it may', async () => {
  const streams: ServerHttp2Stream[] = [];
  const settings = { initialWindowSize: 30_000, maxConcurrentStreams: 3 };
  const connection = await connected((stream) => streams.push(stream), settings);
  expect([connection.takes(29_995), connection.takes(29_996)]).toEqual([true, false]);
  const calls = [1, 2, 3].map((length) => call(connection, bytes(length)));
  expect(connection.takes(1)).toBe(false);
  await expect.poll(() => streams.length).toBe(3);
  for (const stream of streams) fine(stream, Buffer.alloc(5), {});
  await Promise.all(calls);
  expect(connection.takes(1)).toBe(true);
});

test('the window of the connection is used up, and opens again', async () => {
  const connection = await connected(fine);
  const sent = [call(connection, bytes(60_000))];
  expect([connection.takes(5_525), connection.takes(5_526)]).toEqual([true, false]);
  await Promise.all(sent);
  // Of peers it is known that they tell of half a window at the latest.
  await expect.poll(() => connection.takes(32_000)).toBe(true);
});

test('a call that is given up is told so, and so is the peer', async () => {
  const streams: ServerHttp2Stream[] = [];
  const connection = await connected((stream) => streams.push(stream));
  const failures: unknown[] = [];
  const giveUp = connection.call(bytes(10), null, (error) => failures.push(error));
  await expect.poll(() => streams.length).toBe(1);
  giveUp();
  giveUp();
  expect(failures).toMatchObject([{ code: 1 }]);
  await expect.poll(() => streams[0]?.rstCode).toBe(constants.NGHTTP2_CANCEL);
});

test('a ping is answered', async () => {
  await connected(fine);
  const payload = Buffer.from('12345678');
  const answered = new Promise<Buffer>((resolve, reject) => {
    sessions[0]?.ping(payload, (error, _ms, answer) => (error ? reject(error) : resolve(answer)));
  });
  expect((await answered).equals(payload)).toBe(true);
});

test.each([
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
  [
    'a table that was not allowed',
    Buffer.from('0000000400000000000000030104000000013fe11f', 'hex'),
  ],
])('%s ends it for good', async (_name, words) => {
  const tcp = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(words));
  });
  server = tcp;
  const connection = new UnaryConnection({ address: await listening(tcp), tls: null, path });
  await expect.poll(() => connection.gone).toBe(true);
  expect([connection.faulty, connection.takes(1)]).toEqual([true, false]);
});

test('nobody there ends it, too, and is no fault', async () => {
  const tcp = createTcpServer();
  const address = await listening(tcp);
  await new Promise((resolve) => tcp.close(resolve));
  const connection = new UnaryConnection({ address, tls: null, path });
  await expect.poll(() => connection.gone).toBe(true);
  expect(connection.faulty).toBe(false);
});
