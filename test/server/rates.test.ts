import { connect } from 'node:net';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { open, type Space } from 'waymark';
import { createMemoryEngine } from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { KV, Lease } from 'waymark/etcd';
import { firstOf } from '../etcd/auth-world.js';
import { EtcdApi } from '../etcd/client.js';
import { WatchClient } from '../etcd/watch-client.js';
import { type Answer, serve } from './served.js';

test('[limits] the rate of one client is one over every face: the last call is answered, one more is refused, others go on', async () => {
  // Time stands still: nothing is earned.
  const clock = new FakeClock();
  await using served = await serve({ rate: { perSecond: 10, burst: 6 }, clock });
  const { port, base, address } = served;
  await using space = await open(base);
  using etcd = new EtcdApi(address);
  const ns = space.namespace('etcd');
  const key = Buffer.from('a');
  for (let n = 0; n < 2; n++) {
    expect((await served.call('PUT', '/v1/ns/etcd/keys/a', { body: '1' })).status).toBe(200);
    await ns.put('/a', n);
    await etcd.call(KV.method.put, { key, value: key });
  }
  const refused = await served.call('GET', '/v1/ns/etcd/keys/a');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  expect(refused.json).toMatchObject({ code: 'overloaded', limit: 'rate.perSecond', max: 10 });
  await expect(ns.get('/a')).rejects.toMatchObject({
    code: 'overloaded',
    facts: { retryAfterMs: 100 },
  });
  await expect(etcd.call(KV.method.range, { key })).rejects.toMatchObject({ code: 8 });
  using watch = new WatchClient(etcd);
  expect(await watch.ended()).toBe(8);
  // What keeps alive what is there is never refused.
  const { leaseKeepAlive } = Lease.method;
  const renewed = await firstOf(etcd, leaseKeepAlive, (stream) => stream.write({ ID: 7n }));
  expect(renewed).toMatchObject({ ID: 7n, TTL: 0n });
  expect((await served.call('GET', '/healthz')).status).toBe(200);
  // From another address.
  expect(await getFrom('127.0.0.2', port)).toContain('HTTP/1.1 200');
  clock.advance(100);
  expect((await served.call('GET', '/v1/ns/etcd/keys/a')).status).toBe(200);
  expect((await served.call('GET', '/v1/ns/etcd/keys/a')).status).toBe(429);
});

test('[limits] a WebSocket that is opened is a call, and so is each move of a cursor: acks that come too often wait for their turn', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine();
  await using served = await serve({ engine, rate: { perSecond: 10, burst: 3 }, clock });
  await engine.commit({ apply: [{ type: 'put', key: 'n/default/d/a', value: '1' }] });
  const url = `${served.base.replace('http', 'ws')}/v1/ns/default/watch?tree`;
  const opened = (more = ''): Promise<{ status: number; socket: WebSocket; id: string }> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url + more);
      socket.on('error', () => {});
      socket.on('unexpected-response', (_, answer) => {
        resolve({ status: answer.statusCode ?? 0, socket, id: '' });
        answer.destroy();
      });
      socket.on('message', (data: Buffer) => {
        const { id } = JSON.parse(data.toString()) as { id?: string };
        if (id !== undefined) resolve({ status: 101, socket, id });
      });
      socket.on('close', reject);
    });
  const at = async (): Promise<string | undefined> =>
    (await engine.read({ key: 'r/u/default/billing' })).entries[0]?.value;
  const { socket, id } = await opened('&cursor=billing');
  const [revision = '', ...identity] = id.split('-');
  const ack = (by: number): void =>
    socket.send(JSON.stringify({ ack: [Number(revision) - by, ...identity].join('-') }));
  ack(1);
  await expect.poll(at).toBeDefined();
  const first = await at();
  const other = await opened();
  expect(other.status).toBe(101);
  expect((await opened()).status).toBe(429);
  const { timers } = clock;
  ack(0);
  // It is heard, and waits: another call comes after it.
  expect((await served.call('GET', '/v1/ns/default/keys/a')).status).toBe(429);
  expect(await at()).toBe(first);
  await expect.poll(() => clock.timers).toBeGreaterThan(timers);
  clock.advance(100);
  await expect.poll(at).not.toBe(first);
  socket.terminate();
  other.socket.terminate();
});

function getFrom(localAddress: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.on('close', () => resolve(text)).on('error', reject);
    socket.write('GET /v1/ns/etcd/keys/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  });
}

test('[limits] where access is on the rate is a user’s, whatever token it shows, and another’s at the same address is its own', async () => {
  let root = '';
  const clock = new FakeClock();
  const firstToken = (token: string): void => void (root = token);
  const rate = { perSecond: 10, burst: 12 };
  await using served = await serve({ rate, clock, access: true, firstToken, audit: () => {} });
  const as = async (
    token: string,
    method: string,
    path: string,
    body?: object,
  ): Promise<Answer> => {
    const headers = { authorization: `Bearer ${token}` };
    return await served.call(method, path, { headers, ...(body !== undefined && { body }) });
  };
  await as(root, 'PUT', '/v1/access/users/ann', {});
  await as(root, 'POST', '/v1/access/users/ann/roles', { role: 'root' });
  const tokens: string[] = [];
  for (let n = 0; n < 2; n++) {
    const made = await as(root, 'POST', '/v1/access/tokens', { user: 'ann' });
    expect(made.status, made.text).toBe(201);
    tokens.push(String(made.json['token']));
  }
  const [first = '', second = ''] = tokens;
  await using space = await open(served.base, { token: second });
  using etcd = new EtcdApi(served.address, { token: first });
  const key = Buffer.from('a');
  for (let n = 0; n < 4; n++) {
    expect((await as(first, 'PUT', '/v1/ns/etcd/keys/a', {})).status).toBe(200);
    await space.namespace('etcd').put('/a', n);
    await etcd.call(KV.method.put, { key, value: key });
  }
  expect((await as(second, 'GET', '/v1/ns/etcd/keys/a')).status).toBe(429);
  await expect(space.namespace('etcd').get('/a')).rejects.toMatchObject({ code: 'overloaded' });
  await expect(etcd.call(KV.method.range, { key })).rejects.toMatchObject({ code: 8 });
  expect((await as(root, 'GET', '/v1/ns/etcd/keys/a')).status).toBe(200);
});

async function asked(space: Space, times: number): Promise<number> {
  const ns = space.namespace('etcd');
  const asks = Array.from({ length: times }, () => ns.get('/a').then(() => true));
  return (await Promise.allSettled(asks)).filter(({ status }) => status === 'fulfilled').length;
}

test('[limits] where access is on a user calls 1 000 times a second and 2 000 times at once unless told otherwise; root is not limited', async () => {
  let root = '';
  const clock = new FakeClock();
  const firstToken = (token: string): void => void (root = token);
  await using served = await serve({ clock, access: true, firstToken, audit: () => {} });
  const authorization = { authorization: `Bearer ${root}` };
  const make = async (path: string, body: object): Promise<Answer> =>
    await served.call('POST', path, { headers: authorization, body });
  await served.call('PUT', '/v1/access/users/ann', { headers: authorization, body: {} });
  const rule = { namespace: 'etcd', path: '/', actions: ['read'] };
  expect((await make('/v1/access/roles/reader/rules', rule)).status).toBe(200);
  await make('/v1/access/users/ann/roles', { role: 'reader' });
  const made = await make('/v1/access/tokens', { user: 'ann' });
  await using space = await open(served.base, { token: String(made.json['token']) });
  expect(await asked(space, 1_999)).toBe(1_999);
  expect(await asked(space, 1)).toBe(1);
  expect(await asked(space, 1)).toBe(0);
  clock.advance(1_000);
  expect(await asked(space, 1_001)).toBe(1_000);
  await using mighty = await open(served.base, { token: root });
  expect(await asked(mighty, 2_100)).toBe(2_100);
});

test.each([
  ['access is off', {}],
  ['it is false', { access: true, rate: false as const }],
])('[limits] there is no rate where %s', async (_what, options) => {
  let token: string | undefined;
  const firstToken = (given: string): void => void (token = given);
  const clock = new FakeClock();
  await using served = await serve({ clock, ...options, firstToken, audit: () => {} });
  await using space = await open(served.base, token === undefined ? {} : { token });
  expect(await asked(space, 2_100)).toBe(2_100);
});
