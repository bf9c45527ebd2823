import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from 'waymark/engine';
import { createOwnTransport } from '../../packages/server/src/http2/own/transport.js';
import type {
  Fields,
  ServedStream,
  StreamHandler,
} from '../../packages/server/src/http2/transport.js';
import { orNotRun } from '../support/not-run.js';

const run = promisify(execFile);
const head: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];
const done: Fields = [['grpc-status', '0']];
const refused: string[] = [];

/** What comes goes back, as it comes, no faster than the client takes it. */
function echo(stream: ServedStream): StreamHandler {
  stream.respond(head);
  return {
    data(bytes) {
      if (!stream.write(bytes)) stream.pause();
    },
    ended: () => stream.end(done),
    drained: () => stream.resume(),
    closed() {},
  };
}

const transport = createOwnTransport({
  clock: systemClock,
  accept: echo,
  refused: (reason) => refused.push(reason),
});
const serve = (socket: Socket): void => transport.serve(socket);
let server: Server;
let port = 0;

async function portOf(listening: Server): Promise<number> {
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return (listening.address() as AddressInfo).port;
}

beforeAll(async () => {
  server = createServer(serve);
  port = await portOf(server);
});

afterAll(async () => {
  await transport.drain(100);
  server.close();
  expect(refused).toEqual([]);
});

/** So many bytes, which tell their place. */
const bytesOf = (length: number): Buffer =>
  Buffer.from(Uint32Array.from({ length: length / 4 }, (_, i) => i).buffer);

describe('node:http2', () => {
  const post = (session: ClientHttp2Session, body: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': '/echo' });
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('error', reject);
      stream.on('trailers', (trailers) => expect(trailers['grpc-status']).toBe('0'));
      stream.on('close', () => resolve(Buffer.concat(pieces)));
      stream.end(body);
    });

  test('bodies of all sizes at the same time, on few windows and large ones', async () => {
    for (const settings of [{}, { initialWindowSize: 4_000_000 }, { initialWindowSize: 1_000 }]) {
      const session = connect(`http://127.0.0.1:${port}`, { settings });
      const sizes = [0, 4, 1_000, 16_384, 65_536, 262_144, 400_000].flatMap((size) => [size, size]);
      const bodies = sizes.map(bytesOf);
      const answers = await Promise.all(bodies.map((body) => post(session, body)));
      for (const [i, answer] of answers.entries())
        expect(answer.equals(bodies[i] as Buffer)).toBe(true);
      session.close();
      await once(session, 'close');
    }
  });

  test('a thousand requests cancelled at once, and the next is answered', async () => {
    const session = connect(`http://127.0.0.1:${port}`);
    await once(session, 'remoteSettings');
    for (let round = 0; round < 3; round++) {
      const streams = Array.from({ length: 900 }, () => session.request({ ':method': 'POST' }));
      const closed = streams.map((stream) => once(stream, 'close'));
      for (const stream of streams) stream.close(8);
      await Promise.all(closed);
    }
    expect((await post(session, bytesOf(100))).length).toBe(100);
    session.close();
  });

  test('pings, settings that change amid streams, and leaving', async () => {
    const other = createOwnTransport({ clock: systemClock, accept: echo });
    const listening = createServer((socket) => other.serve(socket));
    const session = connect(`http://127.0.0.1:${await portOf(listening)}`);
    const body = bytesOf(1_000_000);
    const answered = post(session, body);
    await new Promise((resolve) => session.ping(resolve));
    session.settings({ initialWindowSize: 10, headerTableSize: 0 });
    await once(session, 'localSettings');
    session.settings({ initialWindowSize: 1_000_000, headerTableSize: 8_192 });
    const goaway = once(session, 'goaway');
    const drained = other.drain(10_000);
    expect((await answered).equals(body)).toBe(true);
    expect((await goaway)[0]).toBe(0);
    await drained;
    listening.close();
  });
});

describe('grpc-js', () => {
  const same = (bytes: Buffer): Buffer => bytes;
  const open = (): grpc.Client =>
    new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });

  test('calls, with messages of all sizes', async () => {
    const client = open();
    const call = (body: Buffer): Promise<Buffer | undefined> =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest('/own.Echo/Call', same, same, body, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        ),
      );
    const bodies = [0, 20, 20, 100_000, 4_000_000].map(bytesOf);
    const answers = await Promise.all(bodies.map(call));
    for (const [i, body] of bodies.entries()) expect(answers[i]?.equals(body)).toBe(true);
    client.close();
  });

  test('a stream both ways, and one that is cancelled', async () => {
    const client = open();
    const stream = client.makeBidiStreamRequest('/own.Echo/Stream', same, same);
    const got: string[] = [];
    stream.on('data', (message: Buffer) => {
      got.push(message.toString());
      if (got.length === 500) stream.end();
    });
    for (let i = 0; i < 500; i++) stream.write(Buffer.from(`message ${i}`));
    const [status] = (await once(stream, 'status')) as [grpc.StatusObject];
    expect(status.code).toBe(grpc.status.OK);
    expect(got).toEqual(Array.from({ length: 500 }, (_, i) => `message ${i}`));
    const cancelled = client.makeBidiStreamRequest('/own.Echo/Stream', same, same);
    cancelled.on('error', () => {});
    cancelled.write(Buffer.from('x'));
    await once(cancelled, 'data');
    cancelled.cancel();
    client.close();
  });
});

const nghttp2 = orNotRun('nghttp2', 'HTTP/2 by nghttp and h2load');
if (nghttp2 !== null) {
  describe('nghttp2', () => {
    const folder = mkdtempSync(join(tmpdir(), 'waymark-h2-'));
    afterAll(() => rmSync(folder, { recursive: true }));

    test('h2load has all its requests answered', async () => {
      const load = ['-n', '20000', '-c', '4', '-m', '100', '-H', 'te: trailers'];
      const file = join(folder, 'body');
      await run('bash', ['-c', `head -c 2000 /dev/zero > ${file}`]);
      const url = `http://127.0.0.1:${port}/a`;
      const { stdout } = await run(nghttp2.path, [...load, '-d', file, url]);
      expect(stdout).toContain('20000 succeeded, 0 failed, 0 errored, 0 timeout');
      expect(stdout).toContain('status codes: 20000 2xx');
    });

    test('nghttp uploads and downloads, with padding, continuation and priorities', async () => {
      const file = join(folder, 'large');
      await run('bash', ['-c', `head -c 3000000 /dev/urandom > ${file}`]);
      const odd = ['--continuation', '--padding=100', '--window-bits=16'];
      const url = `http://127.0.0.1:${port}/a`;
      const options = { encoding: 'buffer', maxBuffer: 10_000_000 } as const;
      const program = join(nghttp2.directory, 'nghttp');
      const { stdout } = await run(program, [...odd, '-d', file, url], options);
      expect(stdout.equals(readFileSync(file))).toBe(true);
    });
  });
}

const curl = orNotRun('curl', 'HTTP/2 by curl');
if (curl !== null) {
  describe('curl', () => {
    const told = '\n%{http_version} %{http_code}';

    test('a request by prior knowledge', async () => {
      const url = `http://127.0.0.1:${port}/a?b`;
      const plain = ['-sS', '--http2-prior-knowledge', '-w', told, '-d', 'hello'];
      expect((await run(curl.path, [...plain, url])).stdout).toBe('hello\n2 200');
    });

    test('a request over TLS', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'waymark-h2-'));
      const subject = ['-subj', '/CN=localhost', '-keyout', 'key', '-out', 'cert'];
      const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject];
      execFileSync('openssl', make, { cwd: folder, stdio: 'pipe' });
      const [key, cert] = ['key', 'cert'].map((name) => readFileSync(join(folder, name)));
      const secure = createTlsServer({ key, cert, ALPNProtocols: ['h2'] }, serve);
      try {
        const url = `https://127.0.0.1:${await portOf(secure)}/`;
        const body = 'x'.repeat(100_000);
        const safe = ['-sSk', '--http2', '-w', told, '-d', body];
        expect((await run(curl.path, [...safe, url])).stdout).toBe(`${body}\n2 200`);
      } finally {
        secure.close();
        rmSync(folder, { recursive: true });
      }
    });
  });
}
