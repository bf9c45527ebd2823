import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDialer } from '../../packages/server/src/endpoints/kit/guarded-dialer.js';
import { certificates } from '../support/certificates.js';

const dialer = createDialer({
  allow: ['127.0.0.0/8'],
  lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
});
let folder: string;
let server: Server;
let port: number;
let ca: string;
const names: (string | false | null)[] = [];

beforeAll(async () => {
  folder = await certificates();
  const [cert, key, authority] = await Promise.all(
    ['server.crt', 'server.key', 'ca.crt'].map((file) => readFile(join(folder, file), 'utf8')),
  );
  ca = authority ?? '';
  server = createServer({ cert, key }, (socket) => {
    names.push(socket.servername);
    socket.on('error', () => undefined).end('hello');
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as { port: number });
});

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

function connect(servername: string, authority: string | undefined) {
  const to = { host: 'broker.example', port, tls: { servername, ca: authority } };
  return dialer.connect(to, AbortSignal.timeout(10_000));
}

test('TLS goes on for the name that was asked for, and for an address, which it does not tell', async () => {
  for (const name of ['localhost', '127.0.0.1']) {
    const socket = await connect(name, ca);
    const [said] = (await new Promise((resolve) =>
      socket.once('data', (...data: Buffer[]) => resolve(data)),
    )) as Buffer[];
    expect(said?.toString()).toBe('hello');
    socket.destroy();
  }
  expect(names).toEqual(['localhost', false]);
});

test('a certificate of another name, or of an authority that is not known, is refused', async () => {
  for (const [name, authority] of [
    ['broker.example', ca],
    ['127.0.0.2', ca],
    ['localhost', undefined],
    ['localhost', await readFile(join(folder, 'stranger.crt'), 'utf8')],
  ] as const) {
    await expect(connect(name, authority)).rejects.toMatchObject({
      name: 'DeliveryFailure',
      verdict: 'again',
      message: expect.stringMatching(
        `^cannot connect by TLS to broker.example:${port} \\([A-Z_]+\\)$`,
      ) as string,
    });
  }
});
