import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { limits, open } from 'waymark';
import { ServerProcess } from '../faults/server-process.js';
import { serve } from './served.js';

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start('memory');
});
afterAll(async () => await server[Symbol.asyncDispose]());

const mebibyte = 1_048_576;
const grownMax = 32 * mebibyte;

/** Of the server, in bytes. */
function resident(): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
}

/** By how much the server grows meanwhile, at most. */
async function growth(work: () => Promise<void>): Promise<number> {
  const before = resident();
  let most = before;
  const look = setInterval(() => (most = Math.max(most, resident())), 5);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
  return Math.max(most, resident()) - before;
}

/** Sends a body piece by piece, for as long as the server takes it. @returns the answer, and how much of the body was sent */
function pour(
  headers: string,
  piece: Buffer,
  total: number,
): Promise<{ answered: string; sent: number }> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    let answered = '';
    let sent = 0;
    socket.on('data', (bytes) => (answered += bytes.toString()));
    socket.on('error', () => undefined).on('close', () => resolve({ answered, sent }));
    const more = (): void => {
      while (sent < total && socket.writable) {
        sent += piece.length;
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', more);
    socket.write(`PUT /v1/ns/a/keys/bomb HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
    more();
  });
}

test('[limits] a body without a length that does not end is cut at its limit, and not kept', async () => {
  const chunk = Buffer.concat([
    Buffer.from('10000\r\n'),
    Buffer.alloc(65_536, 'x'),
    Buffer.from('\r\n'),
  ]);
  let answers: Awaited<ReturnType<typeof pour>>[] = [];
  const grown = await growth(async () => {
    const each = () => pour('Transfer-Encoding: chunked\r\n', chunk, 256 * mebibyte);
    answers = [await each(), await each(), await each()];
  });
  for (const { answered, sent } of answers) {
    expect(answered).toMatch(/^HTTP\/1\.1 413 .*"limit":"requestBytesMax"/s);
    expect(sent).toBeLessThan(64 * mebibyte);
  }
  expect(grown).toBeLessThanOrEqual(grownMax);
});

test.each(['Content-Length: 8388608\r\n', 'Transfer-Encoding: chunked\r\n'])(
  '[limits] who sends 8 MiB to their end (%s), and reads only then, reads why they are refused; what follows is not done',
  async (headers) => {
    const body = Buffer.alloc(8 * mebibyte, 'x');
    const chunk = Buffer.concat([Buffer.from('800000\r\n'), body, Buffer.from('\r\n0\r\n\r\n')]);
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').pause();
    socket.write(`PUT /v1/ns/a/keys/long HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
    socket.write(headers.startsWith('C') ? body : chunk);
    const next = 'PUT /v1/ns/a/keys/next HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1';
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).write(next, () => resolve());
    });
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 413 .*"limit":"requestBytesMax"[^}]*\}$/s);
    const { status } = await fetch(`${server.url}/v1/ns/a/keys/next`);
    expect(status).toBe(404);
  },
);

test('[limits] nothing is decompressed: 10 MB that would be 10 GB cost no memory, over any face', async () => {
  // Compressed twice: each piece of it is a gigabyte once it is out of both.
  const inner = gzipSync(Buffer.alloc(64 * mebibyte));
  const bomb = Buffer.concat(
    Array.from({ length: Math.ceil((10 * mebibyte) / inner.length) }, () => inner),
  );
  expect(bomb.length * 1_000).toBeGreaterThan(10_000_000_000);
  const grown = await growth(async () => {
    const length = `Content-Length: ${bomb.length}\r\n`;
    const { answered } = await pour(`Content-Encoding: gzip\r\n${length}`, bomb, bomb.length);
    expect(answered).toMatch(/^HTTP\/1\.1 413 /);
    const small = bomb.subarray(0, mebibyte);
    const url = `${server.url}/v1/ns/a/txn`;
    for (const type of ['application/json', 'text/plain']) {
      const headers = { 'content-type': type, 'content-encoding': 'gzip' };
      const answer = await fetch(url, { method: 'POST', headers, body: small });
      expect([400, 415], type).toContain(answer.status);
    }
    // As gRPC: the flag of a compressed message.
    const framed = Buffer.concat([Buffer.from([1, 0, 16, 0, 0]), small]);
    expect(await overGrpc(framed)).toBe('12');
  });
  expect(grown).toBeLessThanOrEqual(grownMax);
});

/** The status of a call that sends these bytes. */
async function overGrpc(body: Buffer): Promise<unknown> {
  const { connect: connectHttp2 } = await import('node:http2');
  const session = connectHttp2(server.url);
  const call = session.request({
    ':method': 'POST',
    ':path': '/etcdserverpb.KV/Put',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => undefined).resume();
  const status = await new Promise<unknown>((resolve) => {
    call.once('response', (headers) => resolve(headers['grpc-status']));
    call.end(body);
  });
  session.destroy();
  return status;
}

test.each(['/v1/socket', '/v1/ns/a/watch/x'])(
  '[limits] a frame of a WebSocket at %s: 1.5 MiB and a byte end it with 1009, and compression is not offered',
  async (path) => {
    const socket = new WebSocket(server.url.replace('http', 'ws') + path, {
      perMessageDeflate: true,
    });
    await once(socket, 'open');
    expect(socket.extensions).toBe('');
    socket.send(Buffer.alloc(1_572_865));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1009);
  },
);

test('[limits] paths that are too long are refused in less than a millisecond', async () => {
  await using space = await open();
  const ns = space.namespace('a');
  await using served = await serve();
  const deep = '/s'.repeat(limits.pathDepthMax + 1);
  const long = `/${'x'.repeat(1_000_000)}`;
  const median = async (attempt: () => Promise<unknown>): Promise<number> => {
    const took: number[] = [];
    for (let n = 0; n < 201; n++) {
      const began = performance.now();
      await attempt();
      took.push(performance.now() - began);
    }
    return took.sort((a, b) => a - b)[100] as number;
  };
  for (const path of [deep, long]) {
    const refused = async (): Promise<void> => {
      const put = ns.put(path, 1).catch((error: unknown) => error);
      expect(await put).toMatchObject({ code: 'too_large' });
    };
    expect(await median(refused), `${path.length} bytes`).toBeLessThan(1);
  }
  expect((await served.call('GET', `/v1/ns/a/keys${deep}`)).json).toMatchObject({ status: 413 });
  // Node refuses heads of more than 16 KiB by itself.
  expect((await served.call('GET', `/v1/ns/a/keys${long}`)).status).toBe(431);
});

test('[limits] a lease of 30 days lives: its time does not fit into 31 bits of milliseconds', async () => {
  const lease = async (ttlMs: number): Promise<Response> =>
    await fetch(`${server.url}/v1/leases`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ttlMs }),
    });
  for (const ttlMs of [1e12, -1, 1e-9, 0.5])
    expect((await lease(ttlMs)).status, `${ttlMs}`).toBe(400);
  const long = (await (await lease(30 * 86_400_000)).json()) as { id: number };
  const short = (await (await lease(1_000)).json()) as { id: number };
  // Once a lease of a second has ended, a timer that had overflown would have run long ago.
  const alive = async ({ id }: { id: number }): Promise<boolean> =>
    (await fetch(`${server.url}/v1/leases/${id}`)).status === 200;
  while (await alive(short));
  expect(await alive(long)).toBe(true);
});
