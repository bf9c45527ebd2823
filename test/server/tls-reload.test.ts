import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { certificates } from '../support/certificates.js';
import { Command, waymark } from '../support/command.js';
import { serve } from './served.js';

let issued: string;
let folder: string;
const file = (name: string): string => join(folder, name);
const tls = (): { cert: string; key: string } => ({ cert: file('tls.crt'), key: file('tls.key') });

beforeAll(async () => {
  issued = await certificates();
});
afterAll(() => rm(issued, { recursive: true }));

/** What stands in the files from now on: the certificate `server`, `client` or `root`. */
async function put(name: string, files = ['crt', 'key']): Promise<void> {
  for (const end of files) await copyFile(join(issued, `${name}.${end}`), file(`tls.${end}`));
}

async function folderWith(name: string): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'waymark-reload-'));
  await put(name);
}

async function handshake(port: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket.on('error', () => undefined);
}

async function nameAt(port: number): Promise<unknown> {
  const socket = await handshake(port);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return CN;
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return bytes.toString();
}

test('[tls] new certificates are served without a restart, old connections go on, broken files change nothing', async () => {
  await folderWith('server');
  const served = await serve({ tls: tls() });
  try {
    const { port, server } = served;
    const old = await handshake(port);
    expect(await nameAt(port)).toBe('server');
    await put('client');
    await server.reloadTls();
    expect(await nameAt(port)).toBe('client');
    expect(await ask(old)).toContain('200 OK');
    // The key of another certificate, no PEM at all, and no file.
    await put('root', ['key']);
    await server.reloadTls();
    expect(await nameAt(port)).toBe('client');
    await writeFile(file('tls.crt'), 'nothing');
    await server.reloadTls();
    expect(await nameAt(port)).toBe('client');
    await rm(file('tls.crt'));
    await server.reloadTls();
    expect(await nameAt(port)).toBe('client');
    await put('root');
    await server.reloadTls();
    expect(await nameAt(port)).toBe('root');
    expect(await ask(old)).toContain('200 OK');
    old.destroy();
  } finally {
    await served[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  }
});

test('[tls] the files are looked at by themselves every so often', async () => {
  await folderWith('server');
  const clock = new FakeClock();
  const served = await serve({ tls: tls(), clock, tlsReloadMs: 5_000 });
  try {
    expect(await nameAt(served.port)).toBe('server');
    await put('client');
    for (;;) {
      clock.advance(5_000);
      if ((await nameAt(served.port)) === 'client') break;
    }
  } finally {
    await served[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  }
});

test('[tls] SIGHUP has a server look at once, and what is refused is told in its log', async () => {
  await folderWith('server');
  const args = ['serve', '-l', '127.0.0.1:0', '-e', 'memory', '--json'];
  const files = ['--tls-cert', file('tls.crt'), '--tls-key', file('tls.key')];
  const command = new Command(process.execPath, [waymark, ...args, ...files]);
  const { addresses } = JSON.parse(await command.says('\n')) as { addresses: string[] };
  const port = Number(addresses[0]?.split(':').at(-1));
  await put('client', ['key']);
  command.child.kill('SIGHUP');
  await command.warns('refused');
  expect(await nameAt(port)).toBe('server');
  await put('client');
  command.child.kill('SIGHUP');
  await command.warns('new certificates');
  expect(await nameAt(port)).toBe('client');
  expect((await command.stop()).code).toBe(0);
  await rm(folder, { recursive: true });
});
