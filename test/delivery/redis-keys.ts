import { startGate } from '@waymark/server/testing';
import { createClient } from '@redis/client';
import { redisPassword } from '../endpoints/redis-place.js';
import { type RunningRedis, startRedis } from '../support/redis.js';
import type { Arrival } from './arrivals.js';
import type { Started } from './places.js';

const database = 3;
const prefix = 'rig';

/**
 * Keys of a Redis that says each SET that it does. A key keeps neither sequence nor fence: the path says which change it is, `/o/N` the one after `/o/N-1`. So a SET that is done twice, late, or
 * not at all shows, and one that stored something else.
 */
export async function redisKeys(): Promise<Started> {
  const server = await startRedis({ password: redisPassword });
  await server.ask(['CONFIG', 'SET', 'notify-keyspace-events', 'E$']);
  const gate = await startGate({ port: server.port });
  const socket = { port: server.port };
  const client = createClient({ socket, password: redisPassword, RESP: 2 });
  await client.on('error', () => undefined).connect();
  const set: string[] = [];
  await client.subscribe(`__keyevent@${database}__:set`, (key) => void set.push(key));
  return {
    under: {
      uri: `redis://${redisPassword}@127.0.0.1:${gate.port}/${database}?key=${prefix}`,
      received: async () => {
        await client.ping();
        const values = await valuesOf(server, set);
        return set.map((key, at) => arrivalOf(key, values[at]));
      },
      interrupt: () => gate.interrupt(),
      hold: () => gate.hold(),
      mend: () => gate.mend(),
      [Symbol.asyncDispose]: async () => {
        client.destroy();
        await gate[Symbol.asyncDispose]();
      },
    },
    stop: () => server.stop(),
  };
}

async function valuesOf(
  server: RunningRedis,
  keys: readonly string[],
): Promise<readonly (string | undefined)[]> {
  if (keys.length === 0) return [];
  const values = (await server.ask(['MGET', ...keys], database)) as (Buffer | null)[];
  return values.map((value) => value?.toString());
}

function arrivalOf(key: string, value: string | undefined): Arrival {
  const path = key.slice(prefix.length);
  const number = Number(path.slice('/o/'.length));
  if (value !== String(number)) throw new Error(`${key} holds ${value}`);
  const previous = number === 0 ? '' : sequenceOf(number - 1);
  return { kind: 'put', path, sequence: sequenceOf(number), previous, fence: 0, watchers: [] };
}

function sequenceOf(number: number): string {
  return String(number).padStart(8, '0');
}
