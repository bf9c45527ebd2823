import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  deliveryOf,
  type DeliveredEvent,
  type Delivery,
  type Endpoint,
  eventAt,
  failureOf,
  newStream,
  plainDialer,
  SharedConnections,
  startGate,
} from '@waymark/server/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { redisKind } from '../../packages/server/src/endpoints/redis/redis-endpoint.js';
import { certificates } from '../support/certificates.js';
import { type RunningRedis, startRedis } from '../support/redis.js';

let redis: RunningRedis;
let connections: SharedConnections;
beforeAll(async () => void (redis = await startRedis()));
afterAll(() => redis.stop());
beforeEach(async () => {
  connections = new SharedConnections();
  await redis.ask(['FLUSHALL']);
});

function open(
  query: string,
  { port = redis.port, account = '', format = 'structured', database = 0 } = {},
) {
  const settings = { format: format as 'structured', secrets: [], timeoutMs: 10_000 };
  const uri = `redis://${account}127.0.0.1:${port}/${database}?${query}`;
  const tools = { dialer: plainDialer(), connections, wallNow: () => Date.now() };
  return redisKind.open(redisKind.parse(uri, settings), settings, tools);
}

const deliver = (endpoint: Endpoint, delivery: Delivery): Promise<void> =>
  endpoint.deliver(delivery, AbortSignal.timeout(10_000));

const events = (...places: number[]): DeliveredEvent[] => places.map((place) => eventAt(place));

async function documents(list: string): Promise<string[]> {
  const items = (await redis.ask(['LRANGE', list, '0', '-1'])) as Buffer[];
  return items.map((item) => (JSON.parse(item.toString()) as { id: string }).id);
}

describe('keys', () => {
  test('each path is a key of its own that holds what was put, byte for byte, and goes with it', async () => {
    await using endpoint = open('key=copy:');
    const stream = newStream();
    const awkward = '/a\r\nDEL x\r\n*1\r\n$8\r\nFLUSHALL\r\n';
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    const text = Buffer.from('1\r\n$3\r\nSET\r\n');
    const put = [
      eventAt(1, { path: '/a/b', value: bytes }),
      eventAt(2, { path: awkward, value: text }),
      eventAt(3, { path: '/gone', value: text }),
      eventAt(4, { path: '/expired', value: text }),
      eventAt(5, { path: '/empty', value: Buffer.alloc(0) }),
    ];
    await deliver(endpoint, deliveryOf(put, { stream }));
    expect(await redis.ask(['GET', 'copy:/gone'])).toEqual(text);
    const more = [
      eventAt(6, { path: '/gone', kind: 'delete', value: undefined }),
      eventAt(7, { path: '/expired', kind: 'expire', value: undefined }),
      eventAt(8, { path: '/', kind: 'resync', value: Buffer.from('{}') }),
      eventAt(9, { path: '/', kind: 'test', value: undefined }),
    ];
    await deliver(endpoint, deliveryOf(more, { stream }));
    expect(await redis.ask(['GET', 'copy:/a/b'])).toEqual(bytes);
    expect(await redis.ask(['GET', `copy:${awkward}`])).toEqual(text);
    expect(await redis.ask(['GET', 'copy:/empty'])).toEqual(Buffer.alloc(0));
    const keys = ((await redis.ask(['KEYS', '*'])) as Buffer[]).map(String).toSorted();
    expect(keys).toEqual(
      ['copy:/a/b', `copy:${awkward}`, 'copy:/empty', `waymark:fence:${stream}`].toSorted(),
    );
  });

  test('[W3.3] what is told again does not undo what came after it', async () => {
    await using endpoint = open('key=');
    const stream = newStream();
    const at = (place: number, value: string) =>
      eventAt(place, { path: '/x', value: Buffer.from(value) });
    await deliver(endpoint, deliveryOf([at(1, 'one'), at(2, 'two')], { stream }));
    await deliver(endpoint, deliveryOf([at(1, 'one')], { stream }));
    expect(String(await redis.ask(['GET', '/x']))).toBe('two');
  });
});

describe('streams', () => {
  test('a stream is kept about as long as it is told to be', async () => {
    await using endpoint = open('stream=s&maxlen=100');
    const stream = newStream();
    for (let first = 1; first <= 1_000; first += 500) {
      const batch = Array.from({ length: 500 }, (_, at) => eventAt(first + at));
      await deliver(endpoint, deliveryOf(batch, { stream }));
    }
    const length = Number(await redis.ask(['XLEN', 's']));
    expect(length).toBeGreaterThanOrEqual(100);
    expect(length).toBeLessThan(400);
  });

  test('a thousand events with fifty watchers each are one delivery', async () => {
    await using endpoint = open('stream=s', { format: 'binary' });
    const watchers = Array.from({ length: 60 }, (_, at) => String(at).repeat(64).slice(0, 64));
    const batch = Array.from({ length: 1_000 }, (_, at) => eventAt(at + 1, { watchers }));
    await deliver(endpoint, deliveryOf(batch));
    expect(Number(await redis.ask(['XLEN', 's']))).toBe(1_000);
  });
});

describe('fences', () => {
  test('[W3.3] a delivery that fails in its middle goes on where it failed', async () => {
    const stream = newStream();
    const rules = '+eval +evalsha +hmget +hset +set ~*'.split(' ');
    await redis.ask(['ACL', 'SETUSER', 'half', 'reset', 'on', '>pw', ...rules]);
    const batch = [
      eventAt(1, { path: '/a' }),
      eventAt(2, { path: '/b', kind: 'delete', value: undefined }),
      eventAt(3, { path: '/c' }),
    ];
    await redis.ask(['SET', '/b', 'old']);
    await using half = open('key=', { account: 'half:pw@' });
    const failure = await failureOf(deliver(half, deliveryOf(batch, { stream })));
    expect(failure.message).toMatch(/^Redis refused/);
    expect(await redis.ask(['GET', '/a'])).toEqual(batch[0]?.value);
    expect(Number(await redis.ask(['EXISTS', '/c']))).toBe(0);
    await redis.ask(['SET', '/a', 'mine']);
    await using whole = open('key=');
    await deliver(whole, deliveryOf(batch, { stream, attempt: 2 }));
    expect(await redis.ask(['GET', '/a'])).toEqual(Buffer.from('mine'));
    expect(Number(await redis.ask(['EXISTS', '/b']))).toBe(0);
    expect(await redis.ask(['GET', '/c'])).toEqual(batch[2]?.value);
  });

  test('[W3.3] who may not keep a fence writes nothing', async () => {
    const rules = '+eval +evalsha +hmget +set ~*'.split(' ');
    await redis.ask(['ACL', 'SETUSER', 'loose', 'reset', 'on', '>pw', ...rules]);
    await using endpoint = open('key=', { account: 'loose:pw@' });
    await failureOf(deliver(endpoint, deliveryOf(events(1))));
    expect(await redis.ask(['KEYS', '*'])).toEqual([]);
  });

  test('a probe is told each time, and moves nothing', async () => {
    await using endpoint = open('list=l');
    const stream = newStream();
    await deliver(endpoint, deliveryOf(events(5), { stream }));
    const probe = eventAt(0, { id: 'test.x', kind: 'test', path: '/', sequence: '', previous: '' });
    for (let tries = 0; tries < 2; tries++)
      await deliver(endpoint, deliveryOf([probe], { stream }));
    await deliver(endpoint, deliveryOf(events(4, 5, 6), { stream }));
    expect(await documents('l')).toEqual(['5.0', 'test.x', 'test.x', '6.0']);
  });

  test('[W1.5] who is superseded leaves the connection to the others', async () => {
    await using gate = await startGate({ port: redis.port });
    await using one = open('list=l', { port: gate.port });
    await using other = open('list=m', { port: gate.port });
    const stream = newStream();
    await deliver(one, deliveryOf(events(1), { stream, fence: 2 ** 52 }));
    await deliver(other, deliveryOf(events(1)));
    const late = deliver(one, deliveryOf(events(2), { stream, fence: 2 ** 52 - 1 }));
    expect((await failureOf(late)).verdict).toBe('superseded');
    await deliver(other, deliveryOf(events(2)));
    expect(gate.opened).toBe(1);
  });

  test('the fence is kept beside the data', async () => {
    await using endpoint = open('list=l');
    const [event] = events(3);
    await deliver(endpoint, deliveryOf([event as DeliveredEvent], { stream: 'S', fence: 12 }));
    const kept = (await redis.ask(['HGETALL', 'waymark:fence:S'])) as Buffer[];
    expect(kept.map(String)).toEqual(['fence', '12', 'last', event?.sequence]);
  });
});

describe('servers', () => {
  test('one that forgot the script is sent it again', async () => {
    await using endpoint = open('list=l');
    const stream = newStream();
    await deliver(endpoint, deliveryOf(events(1), { stream }));
    await redis.ask(['SCRIPT', 'FLUSH']);
    await deliver(endpoint, deliveryOf(events(2), { stream }));
    expect(await documents('l')).toEqual(['1.0', '2.0']);
  });

  test('what they refuse is told by its first word, and the connection stays', async () => {
    await redis.ask(['SET', 'text', 'x']);
    await using endpoint = open('list=text');
    for (const _ of [1, 2]) {
      const failure = await failureOf(deliver(endpoint, deliveryOf(events(1))));
      expect(failure).toMatchObject({
        verdict: 'again',
        message: 'Redis refused: what stands at the key is of another type (WRONGTYPE)',
      });
      expect(connections.size).toBe(1);
    }
    await using stranger = open('list=l', { account: 'nobody:pw@' });
    const failure = await failureOf(deliver(stranger, deliveryOf(events(1))));
    expect(failure.message).toBe('Redis refused: the user or the password is wrong (WRONGPASS)');
    expect(connections.size).toBe(1);
  });

  test('a user of its own, who may do no more than it takes', async () => {
    const rules = '+eval +evalsha +hmget +hset +ping +select +xadd ~orders ~waymark:fence:*'.split(
      ' ',
    );
    await redis.ask(['ACL', 'SETUSER', 'way', 'reset', 'on', '>p@ss', ...rules]);
    await using endpoint = open('stream=orders', { account: 'way:p%40ss@' });
    await deliver(endpoint, deliveryOf(events(1)));
    expect(Number(await redis.ask(['XLEN', 'orders']))).toBe(1);
    await using other = open('list=l', { account: 'way:p%40ss@' });
    const failure = await failureOf(deliver(other, deliveryOf(events(1))));
    expect(failure.message).toBe('Redis refused: the user may not do this (NOPERM)');
  });

  test('a connection that does not answer in time is not used again', async () => {
    await using gate = await startGate({ port: redis.port });
    await using endpoint = open('list=l', { port: gate.port });
    const stream = newStream();
    await deliver(endpoint, deliveryOf(events(1), { stream }));
    await gate.hold();
    const ending = new AbortController();
    const hung = endpoint.deliver(deliveryOf(events(2), { stream }), ending.signal);
    const ended = expect(hung).rejects.toThrow('late');
    ending.abort(new Error('late'));
    await ended;
    expect(connections.size).toBe(0);
    await gate.mend();
    await deliver(endpoint, deliveryOf(events(2), { stream, attempt: 2 }));
    expect(await documents('l')).toEqual(['1.0', '2.0']);
    expect(gate.opened).toBe(2);
  });

  test('who gives a connection up that does not answer does not end what others wait for on it', async () => {
    await using gate = await startGate({ port: redis.port });
    await using one = open('list=l', { port: gate.port });
    await using other = open('list=m', { port: gate.port });
    await deliver(one, deliveryOf(events(1)));
    await deliver(other, deliveryOf(events(1)));
    await gate.hold();
    const ending = new AbortController();
    const given = one.deliver(deliveryOf(events(2)), ending.signal);
    const ended = expect(given).rejects.toThrow('late');
    const waiting = deliver(other, deliveryOf(events(2)));
    ending.abort(new Error('late'));
    await ended;
    await gate.mend();
    await waiting;
    await deliver(one, deliveryOf(events(3)));
    await deliver(other, deliveryOf(events(3)));
    expect(await documents('m')).toEqual(['1.0', '2.0', '3.0']);
    expect([gate.opened, connections.size]).toEqual([2, 1]);
  });

  test('a try that ends while it connects leaves nothing that connects on', async () => {
    let asked = (): void => undefined;
    const looking = new Promise<void>((resolve) => (asked = resolve));
    // A name server that does not answer.
    const dialer = { ...plainDialer(), lookup: () => asked() };
    const tools = { dialer, connections, wallNow: () => Date.now() };
    const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;
    const target = redisKind.parse('redis://nowhere.example/0', settings);
    await using endpoint = redisKind.open(target, settings, tools);
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    // What is closed is gone within a few turns of the event loop.
    const settled = async (): Promise<number> => {
      for (let turn = 0; turn < 1_000 && sockets() > 0; turn++) await new Promise(setImmediate);
      return sockets();
    };
    expect(await settled()).toBe(0);
    const ending = new AbortController();
    const tried = endpoint.deliver(deliveryOf(events(1)), ending.signal);
    const ended = expect(tried).rejects.toThrow('over');
    await looking;
    expect(sockets()).toBe(1);
    ending.abort(new Error('over'));
    await ended;
    expect(await settled()).toBe(0);
    expect(connections.size).toBe(0);
  });

  test('each database is a place of its own, over a connection of its own', async () => {
    await using zero = open('list=l');
    await using one = open('list=l', { database: 1 });
    await deliver(zero, deliveryOf(events(1)));
    await deliver(one, deliveryOf(events(2)));
    expect(await documents('l')).toEqual(['1.0']);
    expect(Number(await redis.ask(['LLEN', 'l'], 1))).toBe(1);
    expect(connections.size).toBe(2);
  });

  test('one that was killed and comes back empty is delivered to again', async () => {
    await using endpoint = open('list=l');
    const stream = newStream();
    await deliver(endpoint, deliveryOf(events(1), { stream }));
    await redis.restart();
    const second = deliveryOf(events(2), { stream });
    await deliver(endpoint, second).catch(() => deliver(endpoint, second));
    expect(await documents('l')).toEqual(['2.0']);
  });

  test('rediss goes by TLS to whom the certificate names, or nowhere', async () => {
    const folder = await certificates();
    const secured = await startRedis({ tls: folder });
    try {
      const run = promisify(execFile);
      const script = join(import.meta.dirname, 'deliver-to-redis.mjs');
      const to = (host: string, env: NodeJS.ProcessEnv) =>
        run(process.execPath, [script, `rediss://${host}:${secured.port}/0?list=l`], {
          env: { ...process.env, ...env },
        }).then(({ stdout }) => stdout.trim());
      const known = { NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') };
      expect(await to('localhost', known)).toBe('accepted');
      expect(await to('127.0.0.1', known)).toBe('accepted');
      expect(await to('127.0.0.1', {})).toMatch(/^again no connection to Redis \([A-Z_]+\)$/);
      expect(await to('127.0.0.2', known)).toMatch(/^again no connection to Redis \([A-Z_]+\)$/);
    } finally {
      await secured.stop();
      await rm(folder, { recursive: true });
    }
  });
});
