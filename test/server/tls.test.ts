import { rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { credentials, Client, type ServiceError } from '@grpc/grpc-js';
import { startServer } from '@waymark/server';
import { isWaymarkError, open } from 'waymark';
import {
  create,
  fromBinary,
  KV,
  RangeRequestSchema,
  RangeResponseSchema,
  toBinary,
} from 'waymark/etcd';
import { systemClock } from 'waymark/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { listen } from '../../packages/server/src/listener.js';
import { certificates } from '../support/certificates.js';
import { Command, waymark } from '../support/command.js';
import { orNotRun } from '../support/not-run.js';
import { type Served, serve } from './served.js';

let folder = '';
const file = (name: string): string => join(folder, name);
const server = (): { cert: string; key: string } => ({
  cert: file('server.crt'),
  key: file('server.key'),
});

beforeAll(async () => {
  folder = await certificates();
});

afterAll(() => rm(folder, { recursive: true }));

async function curl(...args: string[]): Promise<string> {
  const { code, out, err } = await new Command('curl', ['-sS', '-m', '20', ...args]).done;
  return code === 0 ? out : `${code} ${err}`;
}

/** What the library's client is told when it cannot get in. */
async function refusedAt(url: string): Promise<{ code: string; text: string }> {
  try {
    const space = await open(url, { connectTimeoutMs: 500 });
    await space.close();
    return { code: 'none', text: '' };
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    return { code: error.code, text: `${error.message} ${String(error.cause)}` };
  }
}

test('[tls] every protocol is served with TLS on the port that serves it without', async () => {
  await using served = await serve({ tls: server() });
  const https = `https://${served.address}`;
  const ca = ['--cacert', file('ca.crt')];
  const shown = '-w %{http_version}';
  expect(await curl(...ca, shown, `${https}/healthz`)).toBe('{"ok":true} 2');
  expect(await curl(...ca, shown, '--http1.1', `${https}/healthz`)).toBe('{"ok":true} 1.1');
  expect(await curl(shown, '--http1.1', `${served.base}/healthz`)).toBe('{"ok":true} 1.1');
  // The certificate tells a browser whose the name is: it may be any.
  const other = ['-H', 'Host: other.example'];
  expect(await curl(...ca, ...other, `${https}/healthz`)).toBe('{"ok":true}');
  expect(await curl(...ca, ...other, '--http1.1', `${https}/healthz`)).toBe('{"ok":true}');
  expect(await curl(...other, `${served.base}/healthz`)).toContain('"denied"');
  const put = ['-d', '{"key":"YQ==","value":"MQ=="}', `${https}/v3/kv/put`];
  expect(await curl(...ca, ...other, ...put)).toContain('"revision":"2"');
  expect(await curl(...ca, '--http1.1', ...put)).toContain('"revision":"3"');
  const files = `?ca=${encodeURIComponent(file('ca.crt'))}`;
  for (const scheme of ['https', 'wss']) {
    await using space = await open(`${scheme}://${served.address}${files}`);
    await space.namespace('etcd').put(`/${scheme}`, 1);
    expect((await space.namespace('etcd').get(`/${scheme}`))?.value).toBe(1);
  }
  expect(await rangeCount(served, { ca: 'ca.crt' })).toBe(3n);
});

/** How many keys a client of grpc-js sees. @throws what it is told */
async function rangeCount(
  { address }: Served,
  { ca, cert }: { ca: string; cert?: string },
): Promise<bigint> {
  const [root, chain, key] = [ca, cert && `${cert}.crt`, cert && `${cert}.key`].map((name) =>
    name === undefined ? null : readFileSync(file(name)),
  );
  const client = new Client(address, credentials.createSsl(root, key, chain));
  const all = create(RangeRequestSchema, { key: Buffer.of(0), rangeEnd: Buffer.of(0) });
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${KV.typeName}/Range`,
        (request: Uint8Array) => Buffer.from(request),
        (bytes) => fromBinary(RangeResponseSchema, bytes).count,
        toBinary(RangeRequestSchema, all),
        { deadline: performance.timeOrigin + performance.now() + 20_000 },
        (error: ServiceError | null, count) => (error ? reject(error) : resolve(count as bigint)),
      );
    });
  } finally {
    client.close();
  }
}

test('[tls] a client certificate of another authority is refused, and none where one is required', async () => {
  const tls = { ...server(), clientCa: file('ca.crt') };
  for (const clientCert of ['required', 'wanted'] as const) {
    await using served = await serve({ tls: { ...tls, clientCert } });
    const ca = 'ca.crt';
    expect(await rangeCount(served, { ca, cert: 'client' })).toBe(0n);
    await expect(rangeCount(served, { ca, cert: 'stranger' })).rejects.toMatchObject({ code: 14 });
    const none = rangeCount(served, { ca });
    if (clientCert === 'wanted') expect(await none).toBe(0n);
    else await expect(none).rejects.toMatchObject({ code: 14 });
    const url = `https://${served.address}/healthz`;
    const args = (name: string): string[] =>
      ['--cacert', 'ca.crt', '--cert', `${name}.crt`, '--key', `${name}.key`].map((one) =>
        one.startsWith('--') ? one : file(one),
      );
    expect(await curl(...args('client'), url)).toBe('{"ok":true}');
    expect(await curl(...args('stranger'), url)).toMatch(/^\d+ curl/);
    const query = (name: string): string =>
      `?ca=${file('ca.crt')}&cert=${file(`${name}.crt`)}&key=${file(`${name}.key`)}`;
    await using space = await open(`https://${served.address}${query('client')}`);
    await space.namespace('a').put('/x', 1);
    expect((await refusedAt(`https://${served.address}${query('stranger')}`)).code).toBe(
      'unavailable',
    );
  }
});

test('[tls] faces are told whose certificate it is', async () => {
  let seen: (name: unknown) => void = () => undefined;
  const told = new Promise((resolve) => (seen = resolve));
  const listener = await listen(
    {
      listen: ['127.0.0.1:0'],
      insecure: false,
      connectionsMax: 10,
      firstByteMs: 10_000,
      clock: systemClock,
      tls: { ...server(), clientCa: file('ca.crt') },
    },
    [
      {
        name: 'name',
        speaks: () => true,
        serve: (socket) => seen((socket as TLSSocket).getPeerCertificate().subject.CN),
      },
    ],
  );
  const [host, port] = (listener.addresses[0] ?? '').split(':');
  const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'].map((one) =>
    readFileSync(file(one)),
  );
  const socket = connectTls({ host, port: Number(port), ca, cert, key });
  await once(socket, 'secureConnect');
  socket.write('hello');
  expect(await told).toBe('client');
  listener.stop();
  listener.destroy();
});

test('[tls] who does not trust the server is told why, and who names no files that can be read', async () => {
  await using served = await serve({ tls: server() });
  const url = `https://${served.address}`;
  expect(await refusedAt(url)).toMatchObject({
    code: 'unavailable',
    text: expect.stringMatching(/certificate/) as string,
  });
  expect((await refusedAt(`${url}?ca=/nowhere`)).code).toBe('invalid');
  expect((await refusedAt(`${url}?ca=${file('ca.crt')}&cert=${file('ca.crt')}`)).code).toBe(
    'invalid',
  );
  expect((await refusedAt(`http://${served.address}?ca=/nowhere`)).code).toBe('invalid');
});

test('[tls] a file that cannot be read, is none, or does not belong to the other is told before anything listens', async () => {
  await writeFile(file('empty'), '');
  const wrong = [
    { cert: file('nowhere') },
    { key: file('nowhere') },
    { clientCa: file('nowhere') },
    { cert: file('empty') },
    { key: file('client.key') },
    { key: file('server.crt') },
    { cert: file('server.key') },
    { clientCa: file('server.key') },
    { clientCert: 'wanted' as const },
  ];
  for (const part of wrong) {
    const starting = startServer({
      engine: 'memory',
      logLevel: 'silent',
      listen: ['127.0.0.1:0'],
      tls: { ...server(), ...part },
    });
    await expect(starting, JSON.stringify(part)).rejects.toMatchObject({ code: 'invalid' });
  }
});

test('[tls] beyond loopback only with required client certificates and no plain text, and plain text from here alone', async () => {
  const tls = { ...server(), clientCa: file('ca.crt'), only: true };
  const options = { engine: 'memory', logLevel: 'silent', listen: ['0.0.0.0:0'] };
  for (const weaker of [
    { ...tls, only: false },
    { ...tls, clientCert: 'wanted' as const },
    { ...server(), only: true },
  ]) {
    await expect(startServer({ ...options, tls: weaker })).rejects.toMatchObject({
      code: 'denied',
    });
  }
  const running = await startServer({ ...options, tls });
  const port = (running.addresses[0] ?? '').split(':')[1];
  expect(await curl(`http://127.0.0.1:${port}/healthz`)).toBe('{"ok":true}');
  const { networkInterfaces } = await import('node:os');
  const outer = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal);
  if (outer !== undefined)
    expect(await curl(`http://${outer.address}:${port}/healthz`)).toMatch(
      /takes connections with TLS alone/,
    );
  await running.close();
});

test('[tls] a handshake that stops or is none ends, and no connection outlives its server', async () => {
  const served = await serve({ tls: server(), firstByteMs: 300 });
  const began = performance.now();
  const hello = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]);
  const noise = Buffer.concat([hello, Buffer.alloc(600, 7)]);
  for (const bytes of [hello, noise]) {
    const socket = connectTcp(served.port, '127.0.0.1').on('error', () => undefined);
    socket.resume().write(bytes);
    await once(socket, 'close');
  }
  // The handshake is done, and then nothing is said.
  const silent = connectTls({ host: '127.0.0.1', port: served.port, rejectUnauthorized: false });
  silent.on('error', () => undefined).resume();
  await once(silent, 'close');
  expect(performance.now() - began).toBeLessThan(10_000);
  const kept = connectTls({ host: '127.0.0.1', port: served.port, rejectUnauthorized: false });
  await once(kept, 'secureConnect');
  kept.on('error', () => undefined).resume();
  await served[Symbol.asyncDispose]();
  if (!kept.closed) await once(kept, 'close');
});

if (orNotRun('etcd-3.4', 'etcdctl with TLS') !== null)
  test('[tls] etcdctl and the command line, with --tls-cert, --tls-key and --client-ca', async () => {
    const args = ['serve', '-l', '127.0.0.1:0', '-e', 'memory', '--json'];
    const files = ['--tls-cert', file('server.crt'), '--tls-key', file('server.key')];
    const command = new Command(process.execPath, [
      waymark,
      ...args,
      ...files,
      '--client-ca',
      file('ca.crt'),
    ]);
    const { addresses } = JSON.parse(await command.says('\n')) as { addresses: string[] };
    const ctl = async (name: string, ...rest: string[]): Promise<string> => {
      const { out, err } = await new Command(
        'etcdctl',
        [
          `--endpoints=https://${addresses[0]}`,
          `--cacert=${file('ca.crt')}`,
          `--cert=${file(`${name}.crt`)}`,
          `--key=${file(`${name}.key`)}`,
          '--dial-timeout=2s',
          ...rest,
        ],
        { env: { ETCDCTL_API: '3' } },
      ).done;
      return out + err;
    };
    expect(await ctl('client', 'put', '/a', '1')).toBe('OK\n');
    expect(await ctl('client', 'get', '/a')).toBe('/a\n1\n');
    expect(await ctl('stranger', 'get', '/a')).not.toContain('/a\n');
    const query = `?ca=${file('ca.crt')}&cert=${file('client.crt')}&key=${file('client.key')}`;
    const got = await new Command(process.execPath, [
      waymark,
      '-s',
      `https://${addresses[0]}${query}`,
      '--namespace',
      'etcd',
      'get',
      '/a',
    ]).done;
    expect(got).toMatchObject({ code: 0, out: '1\n' });
    command.child.kill('SIGTERM');
    expect((await command.done).code).toBe(0);
    const half = await new Command(process.execPath, [waymark, ...args, ...files.slice(0, 2)]).done;
    expect(half).toMatchObject({ code: expect.any(Number) as number });
    expect(half.err).toContain('--tls-key');
  });
