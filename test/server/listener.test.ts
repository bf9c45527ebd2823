import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startServer } from '@waymark/server';
import { raw, serve } from './served.js';

const quiet = { engine: 'memory', logLevel: 'silent' } as const;

test('[listen] beyond loopback only when told to, and the refusal says what to do', async () => {
  for (const address of ['0.0.0.0:0', '[::]:0', '192.0.2.1:0', 'example.org:80']) {
    const refused = startServer({ ...quiet, listen: [address] });
    await expect(refused).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining('--insecure'),
    });
  }
  const server = await startServer({ ...quiet, listen: ['0.0.0.0:0'], insecure: true });
  await server.close();
});

test('[listen] what is no address is told; an address in use is taken', async () => {
  for (const address of [
    '',
    '7420',
    'localhost',
    'localhost:99999',
    'unix:relative',
    'http://localhost:1',
  ]) {
    await expect(startServer({ ...quiet, listen: [address] })).rejects.toMatchObject({
      code: 'invalid',
    });
  }
  const first = await serve();
  await expect(startServer({ ...quiet, listen: [first.address] })).rejects.toMatchObject({
    code: 'taken',
  });
  await first[Symbol.asyncDispose]();
});

test('[listen] a Unix socket is private, a stale one is replaced, a live one and a file are not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-unix-'));
  const path = join(folder, 's');
  const stale = createServer().listen(path);
  await once(stale, 'listening');
  // Closing would remove the file: a killed process leaves it. The handle alone is taken away.
  const left = join(folder, 'left');
  const { renameSync } = await import('node:fs');
  renameSync(path, left);
  stale.close();
  await once(stale, 'close');
  const server = await startServer({ ...quiet, listen: [`unix:${left}`] });
  expect((await stat(left)).mode & 0o777).toBe(0o600);
  expect(await overUnix(left, '/healthz')).toBe(200);
  await expect(startServer({ ...quiet, listen: [`unix:${left}`] })).rejects.toMatchObject({
    code: 'taken',
  });
  await server.close();
  const file = join(folder, 'file');
  await writeFile(file, 'precious');
  await expect(startServer({ ...quiet, listen: [`unix:${file}`] })).rejects.toMatchObject({
    code: 'invalid',
  });
  await rm(folder, { recursive: true });
});

test('[listen] TLS without a certificate and noise are refused clearly; a request in pieces is not', async () => {
  const served = await serve();
  const tls = await raw(served.port, Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 1, 2, 3, 4, 5]));
  expect(tls).toBe('\x15\x03\x01\x00\x02\x02\x46');
  expect(await raw(served.port, 'hello there\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  const socket = connect(served.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  for (const piece of [
    'G',
    'E',
    'T /healthz HT',
    'TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  ]) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 200 .*"ok":true/s);
  await served[Symbol.asyncDispose]();
});

test('[limits] connections: the last one is served, one more is closed', async () => {
  const served = await serve({ connectionsMax: 3 });
  const sockets = await Promise.all([1, 2, 3].map(() => connected(served.port)));
  const over = await connected(served.port);
  await closed(over);
  expect(sockets.map((socket) => socket.readableEnded)).toEqual([false, false, false]);
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map(closed));
  await served[Symbol.asyncDispose]();
});

test('[limits] watch streams: the last one is served, one more is overloaded, a place comes free', async () => {
  const served = await serve({ streamsMax: 2 });
  const open = [1, 2].map(() => new AbortController());
  const urls = open.map((gone) => fetch(`${served.base}/v1/ns/a/watch/x`, { signal: gone.signal }));
  expect((await Promise.all(urls)).map((one) => one.status)).toEqual([200, 200]);
  expect((await served.call('GET', '/v1/ns/a/watch/x')).json).toMatchObject({
    status: 429,
    code: 'overloaded',
    limit: 'streamsMax',
  });
  expect((await served.call('GET', '/v1/ns/a/keys/x?wait=1ms')).status).toBe(429);
  open[0]?.abort();
  for (;;) if ((await served.call('GET', '/v1/ns/a/keys/x?wait=1ms')).status === 200) break;
  open[1]?.abort();
  await served[Symbol.asyncDispose]();
});

test('[limits] silent connections, slow headers and slow bodies are closed', async () => {
  const served = await serve({ firstByteMs: 200, headersMs: 300, requestMs: 600 });
  const began = performance.now();
  const answers = await Promise.all([
    rawSilent(served.port),
    raw(served.port, 'GET / HTTP/1.1\r\nHost: localhost\r\n'),
    raw(
      served.port,
      'PUT /v1/ns/a/keys/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc',
    ),
  ]);
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(answers.map((answer) => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])).toEqual([
    undefined,
    '408',
    '408',
  ]);
  await served[Symbol.asyncDispose]();
});

test('[H3] another name than loopback, and writes from another origin or without the header of a page, are denied', async () => {
  const served = await serve();
  const ask = (method: string, headers: Record<string, string>): Promise<number> =>
    new Promise((resolve) => {
      const call = request({
        port: served.port,
        host: '127.0.0.1',
        method,
        path: '/v1/ns/a/keys/x',
        headers,
      });
      call.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      call.end();
    });
  for (const host of [
    'evil.example',
    'evil.example:7420',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
  ]) {
    expect(await ask('PUT', { host }), host).toBe(403);
  }
  for (const host of ['localhost', '127.0.0.1:1', '[::1]:7420', 'LOCALHOST'])
    expect(await ask('PUT', { host }), host).toBe(200);
  expect(await ask('PUT', { origin: 'http://evil.example' })).toBe(403);
  expect(await ask('PUT', { origin: 'null' })).toBe(403);
  const marked = { 'x-waymark-csrf': '1' };
  expect(await ask('PUT', { origin: 'http://evil.example', ...marked })).toBe(403);
  expect(await ask('PUT', { origin: served.base })).toBe(403);
  expect(await ask('PUT', { 'sec-fetch-site': 'cross-site' })).toBe(403);
  expect(await ask('PUT', { origin: served.base, ...marked })).toBe(200);
  expect(await ask('GET', { origin: served.base })).toBe(200);
  await served[Symbol.asyncDispose]();
});

function connected(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => undefined);
    socket.resume();
  });
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close');
}

async function rawSilent(port: number): Promise<string> {
  const socket = await connected(port);
  await closed(socket);
  return '';
}

function overUnix(socketPath: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on('error', reject);
    call.end();
  });
}
