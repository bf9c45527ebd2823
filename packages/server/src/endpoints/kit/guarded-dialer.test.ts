import { createServer, type Server, type Socket } from 'node:net';
import { callbackify, inspect } from 'node:util';
import { Agent, request } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { addressesOf, lookupVector, ssrfSuite } from '../../testing/ssrf-suite.js';
import { publicAddresses, vectors } from '../../testing/ssrf-vectors.js';
import type { Dialer } from './dialer.js';
import { createDialer } from './guarded-dialer.js';

const soon = (): AbortSignal => AbortSignal.timeout(10_000);
const opened: Server[] = [];

afterEach(async () => {
  for (const server of opened.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listening(): Promise<{ server: Server; port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  opened.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port, sockets };
}

ssrfSuite({
  name: 'resolve',
  connects: false,
  reach: (dialer, { host }) => dialer.resolve(host, soon()),
});
ssrfSuite({
  name: 'connect',
  reach: async (dialer, to) => (await dialer.connect(to, soon())).destroy(),
});
for (const all of [true, false]) {
  ssrfSuite({
    name: `lookup, ${all ? 'all' : 'one'}`,
    connects: false,
    reach: (dialer, { host }) =>
      new Promise<void>((resolve, reject) => {
        dialer.lookup(host, { all }, (error) => (error === null ? resolve() : reject(error)));
      }),
  });
}
ssrfSuite({ name: 'undici', reach: requested });

/** Over undici, which has URLs and a pool of its own. */
async function requested(dialer: Dialer, { host, port }: { host: string; port: number }) {
  const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  if (!URL.canParse(`http://${authority}/`)) throw new Error('a URL so written names no host');
  const connect = callbackify((name: string) => dialer.connect({ host: name, port }, soon()));
  const agent = new Agent({
    connect: ({ hostname }, done) =>
      connect(hostname, (error, socket) =>
        error === null ? done(null, socket) : done(error, null),
      ),
  });
  try {
    const { hostname } = new URL(`http://${authority}/`);
    await request(`http://${hostname}:${port}/`, { dispatcher: agent, signal: soon() });
  } finally {
    await agent.destroy();
  }
}

describe('addresses', () => {
  test('[G26] there are enough vectors to speak of', () => {
    expect(new Set(vectors.map(({ host }) => host)).size).toBeGreaterThanOrEqual(120);
  });

  test('[G26] what is public is not refused', async () => {
    const dialer = createDialer({ allow: [], lookup: lookupVector });
    for (const address of publicAddresses) {
      await expect(dialer.resolve(address, soon()), address).resolves.toHaveProperty('address');
      expect(dialer.allows(address), address).toBe(true);
    }
    for (const { host } of vectors) expect(dialer.allows(host), host).toBe(false);
  });

  test('[G26] a network is allowed to its edges', () => {
    const { allows } = createDialer({
      allow: ['10.20.0.0/15', '192.168.7.9/32', 'fd00:1::/33', '169.254.0.0/16'],
    });
    const inside = ['10.20.0.0', '10.21.255.255', '192.168.7.9', 'fd00:1::', 'fd00:1:7fff:ffff::'];
    const carried = ['::ffff:10.20.0.1', '64:ff9b::10.20.0.1', '169.254.169.254'];
    for (const address of [...inside, ...carried]) expect(allows(address), address).toBe(true);
    const outside = ['10.19.255.255', '10.22.0.0', '192.168.7.8', '192.168.7.10', '127.0.0.1'];
    const beyond = ['fd00:1:8000::', 'fd00:2::', 'fd00:0:ffff::', '::1', '::'];
    for (const address of [...outside, ...beyond]) expect(allows(address), address).toBe(false);
    const all = createDialer({ allow: ['0.0.0.0/0', '::/0'] });
    for (const address of [...inside, ...beyond, ...outside]) {
      expect(all.allows(address), address).toBe(true);
    }
    expect(all.allows('fe80::1%eth0')).toBe(false);
  });

  test.each([
    ...['', '10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0.0/8/8'],
    ...['10.1.2.3/8', '10/8', '0x0a000000/8', 'localhost', 'localhost/8', '*', 'fd00::/129'],
    ...['fd00::1/8', '[fd00::]/8', 'fe80::%eth0/64', ' 10.0.0.0/8', '10.0.0.0/8 '],
  ])('[G26] %j is no network to allow', (cidr) => {
    expect(() => createDialer({ allow: [cidr] })).toThrow(
      expect.objectContaining({ name: 'WaymarkError', code: 'invalid' }),
    );
  });

  test('[G26] at most 256 networks', () => {
    const allow = Array.from({ length: 257 }, (_, i) => `10.0.${i % 256}.0/24`);
    expect(() => createDialer({ allow: allow.slice(1) })).not.toThrow();
    expect(() => createDialer({ allow })).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('connections', () => {
  test('[G26] a refusal names the host and the option, and not what was found there', async () => {
    const lookup = () => Promise.resolve(addressesOf(['8.8.8.8', '10.77.66.55']));
    const refused = await createDialer({ allow: [], lookup })
      .resolve('db.example', soon())
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ name: 'DeliveryFailure', verdict: 'again' });
    expect((refused as Error).message).toContain('db.example');
    expect((refused as Error).message).toContain('--allow-endpoint-net CIDR');
    expect(inspect(refused)).not.toMatch(/10\.77|8\.8\.8/);
  });

  test('a connection that is refused, and a name that is none, are tried again later', async () => {
    const { port } = await listening();
    await new Promise((resolve) => opened.pop()?.close(resolve));
    const dialer = createDialer({ allow: ['127.0.0.0/8'] });
    await expect(dialer.connect({ host: '127.0.0.1', port }, soon())).rejects.toMatchObject({
      verdict: 'again',
      message: `cannot connect to 127.0.0.1:${port} (ECONNREFUSED)`,
    });
    const lookups = [() => Promise.reject(new Error('no')), () => Promise.resolve([])];
    for (const lookup of lookups) {
      const nowhere = createDialer({ allow: [], lookup });
      const reached = nowhere.connect({ host: 'gone.example', port }, soon());
      await expect(reached).rejects.toMatchObject({ verdict: 'again' });
    }
  });

  test('the next address is tried where the first does not answer', async () => {
    const { port } = await listening();
    const dialer = createDialer({
      allow: ['127.0.0.0/8', '::1/128'],
      lookup: () => Promise.resolve(addressesOf(['::1', '127.0.0.1'])),
    });
    const socket = await dialer.connect({ host: 'localhost', port }, soon());
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  });

  test('the signal ends a lookup that hangs, a handshake that hangs, and what has not begun', async () => {
    const reason = new Error('the end');
    const hanging = createDialer({ allow: [], lookup: () => new Promise(() => undefined) });
    const lookup = new AbortController();
    const looking = hanging.connect({ host: 'slow.example', port: 80 }, lookup.signal);
    lookup.abort(reason);
    await expect(looking).rejects.toBe(reason);

    const { server, port, sockets } = await listening();
    const dialer = createDialer({ allow: ['127.0.0.0/8'] });
    const came = new Promise((resolve) => server.once('connection', resolve));
    const handshake = new AbortController();
    const tls = { servername: 'localhost' };
    const shaking = dialer.connect({ host: '127.0.0.1', port, tls }, handshake.signal);
    const ended = expect(shaking).rejects.toBe(reason);
    await came;
    const closed = new Promise((resolve) => sockets[0]?.resume().once('close', resolve));
    handshake.abort(reason);
    await ended;
    await closed;

    const before = AbortSignal.abort(reason);
    await expect(dialer.connect({ host: '127.0.0.1', port }, before)).rejects.toBe(reason);
    await expect(dialer.resolve('127.0.0.1', before)).rejects.toBe(reason);
    expect(sockets.length).toBe(1);
  });
});
