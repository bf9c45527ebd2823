import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { FakeClock } from 'waymark/testing';
import { KV } from 'waymark/etcd';
import { EtcdApi } from '../etcd/client.js';
import { serve } from './served.js';

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
  expect((await served.call('GET', '/healthz')).status).toBe(200);
  // From another address.
  expect(await getFrom('127.0.0.2', port)).toContain('HTTP/1.1 200');
  await clock.advance(100);
  expect((await served.call('GET', '/v1/ns/etcd/keys/a')).status).toBe(200);
  expect((await served.call('GET', '/v1/ns/etcd/keys/a')).status).toBe(429);
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
