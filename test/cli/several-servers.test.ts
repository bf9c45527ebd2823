import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { run, url } from '../support/served.js';

/** Takes connections and what is asked on them, and never answers. */
const taken = new Set<Socket>();
const asked: string[] = [];
const silent = createServer((socket) => {
  taken.add(socket.on('error', () => undefined));
  socket.on('data', (data) => asked.push(data.toString().split('\r\n')[0] ?? ''));
});
let silentUrl: string;

beforeAll(async () => {
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
});
afterAll(() => {
  for (const socket of taken) socket.destroy();
  silent.close();
});

const ask = async (servers: readonly string[], ...args: string[]) =>
  await runWaymark(servers.join(','), args).done;

test('[cli] a server that never answers has its share of --timeout, and the next one is asked', async () => {
  const three = [silentUrl, silentUrl, url];
  expect(await ask(three, 'status', '--timeout', '4s')).toMatchObject({ code: 0, err: '' });
  const two = [silentUrl, url];
  expect(await ask(two, 'access', 'status', '--timeout', '3s')).toMatchObject({ code: 0 });
  const status = 'GET /v1/status HTTP/1.1';
  expect(asked).toEqual([status, status, 'GET /v1/access HTTP/1.1']);
});

test('[cli] --timeout bounds what is asked of servers that all are silent', async () => {
  for (const args of [['status'], ['access', 'status']]) {
    const { code, err } = await ask([silentUrl, silentUrl], ...args, '--timeout', '400ms');
    expect(code).toBe(errorTable.timeout.exit);
    expect(err).toContain('--timeout');
  }
});

test('[cli] what would be done twice is not asked of another server', async () => {
  const tokens = async () => (await run('access', 'token', 'ls')).out;
  const before = await tokens();
  const add = ['access', 'token', 'add', 'somebody', '--timeout', '1s'];
  expect((await ask([silentUrl, url], ...add)).code).toBe(errorTable.timeout.exit);
  expect(await tokens()).toBe(before);
  expect((await run('access', 'token', 'add', 'somebody')).code).toBe(0);
  expect(await tokens()).not.toBe(before);
});

test('[cli] nor is what a server whose connection broke may have done', async () => {
  const breaking = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => socket.destroy());
  });
  await once(breaking.listen(0, '127.0.0.1'), 'listening');
  const breaksAt = `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`;
  const tokens = async () => (await run('access', 'token', 'ls')).out;
  const before = await tokens();
  const add = ['access', 'token', 'add', 'another'];
  const { code, err } = await ask([breaksAt, url], ...add);
  expect(code, err).toBe(errorTable.uncertain.exit);
  expect(await tokens()).toBe(before);
  // A look does no harm, and where nobody is there nothing was done.
  expect((await ask([breaksAt, url], 'status')).code).toBe(0);
  breaking.close();
  await once(breaking, 'close');
  expect((await ask([breaksAt, url], ...add)).code).toBe(0);
});
