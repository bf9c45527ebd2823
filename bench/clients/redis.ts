import { createClient } from '@redis/client';
import { Redis } from 'ioredis';
import { Mutex, Semaphore } from 'redis-semaphore';
import { socketTarget } from '../harness/processes.js';
import type { Client } from './client.js';
import { Redlock } from './untyped.js';

const casScript = `local now = redis.call('GET', KEYS[1])
if (now == false and ARGV[1] == '') or now == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end
return 0`;

interface WithCas {
  swapIf(key: string, expected: string, value: string): Promise<number>;
}

export const connectIoredis = (address: string): Promise<Client> => ioredis(address, true);
export const connectIoredisPlain = (address: string): Promise<Client> => ioredis(address, false);

async function ioredis(address: string, enableAutoPipelining: boolean): Promise<Client> {
  const redis = await connectTo(address, enableAutoPipelining);
  redis.defineCommand('swapIf', { numberOfKeys: 1, lua: casScript });
  const scripted = redis as unknown as WithCas;
  return {
    put: (key, value) => redis.set(key, value),
    get: (key) => redis.get(key),
    cas: async (key, value, expected) => {
      if ((await scripted.swapIf(key, (expected as string | undefined) ?? '', value)) !== 1)
        throw new Error('cas');
      return value;
    },
    publish: (topic, value) => redis.publish(topic, value),
    // One message a connection, the best a Redis user can do; and a listener for each watcher, as every other side has.
    subscribe: async (topic, watchers, told) => {
      redis.setMaxListeners(0);
      for (let watcher = 0; watcher < watchers; watcher++) {
        redis.on('message', (subject: string, value: string) => {
          if (subject === topic) told(watcher, value, 0);
        });
      }
      await redis.subscribe(topic);
    },
    respond: (subject) => respond(redis, subject),
    asker: (subject) => askerOf(redis, subject),
    close: async () => redis.disconnect(),
  };
}

/** What came is published where its first word says, with the second, by which the asker finds who waits. */
async function respond(redis: Redis, subject: string): Promise<void> {
  const own = redis.duplicate();
  own.on('message', (_subject: string, message: string) => {
    const at = message.indexOf(' ');
    void redis.publish(message.slice(0, at), message.slice(at + 1));
  });
  await own.subscribe(subject);
}

let askers = 0;

async function askerOf(redis: Redis, subject: string): Promise<(body: string) => Promise<unknown>> {
  const replies = `replies-${process.pid}-${askers++}`;
  const waiting = new Map<string, (body: string) => void>();
  let next = 0;
  const own = redis.duplicate();
  own.on('message', (_replies: string, message: string) => {
    const id = message.slice(0, message.indexOf(' '));
    waiting.get(id)?.(message.slice(id.length + 1));
    waiting.delete(id);
  });
  await own.subscribe(replies);
  return (body) =>
    new Promise((resolve) => {
      const id = String(next++);
      waiting.set(id, resolve);
      void redis.publish(subject, `${replies} ${id} ${body}`);
    });
}

async function connectTo(address: string, enableAutoPipelining: boolean): Promise<Redis> {
  const redis = new Redis({ ...socketTarget(address), enableAutoPipelining, lazyConnect: true });
  // A server that was stopped after its run is no news.
  redis.on('error', () => undefined);
  await redis.connect();
  return redis;
}

export async function connectNodeRedis(address: string): Promise<Client> {
  const target = socketTarget(address);
  const redis = createClient({ socket: 'path' in target ? { ...target, tls: false } : target });
  redis.on('error', () => undefined);
  await redis.connect();
  return {
    put: (key, value) => redis.set(key, value),
    get: (key) => redis.get(key),
    close: async () => redis.destroy(),
  };
}

export async function connectRedisSemaphore(address: string): Promise<Client> {
  const redis = await connectTo(address, true);
  return {
    lock: async (name) => {
      const mutex = new Mutex(redis, name, { acquireTimeout: 60_000 });
      await mutex.acquire();
      return () => mutex.release();
    },
    // It asks again and again: every millisecond here, every 10 ms by default.
    permit: async (name) => {
      const semaphore = new Semaphore(redis, name, 1, { acquireTimeout: 60_000, retryInterval: 1 });
      await semaphore.acquire();
      return () => semaphore.release();
    },
    close: async () => redis.disconnect(),
  };
}

/** With a retry every millisecond: with its default of 200 ms it hands over 39 times a second. */
export async function connectRedlock(address: string): Promise<Client> {
  const redis = await connectTo(address, false);
  const redlock = new Redlock([redis], { retryCount: -1, retryDelay: 1, retryJitter: 0 });
  redlock.on('error', () => undefined);
  return {
    lock: async (name) => {
      const lock = await redlock.acquire([name], 10_000);
      return () => lock.release();
    },
    close: async () => redis.disconnect(),
  };
}
