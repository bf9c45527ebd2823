import {
  type EndpointUnderTest,
  type Received,
  receivedBeside,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';
import { createClient } from '@redis/client';
import type { RunningRedis } from '../support/redis.js';

export const redisPassword = 'pa55-8d1f';

type Type = 'stream' | 'list' | 'channel';

interface Reader extends AsyncDisposable {
  received(): Promise<readonly Received[]>;
}

let places = 0;

/** A fresh key or channel of a Redis with `redisPassword`, behind a gate. */
export async function redisPlace(
  redis: RunningRedis,
  type: Type,
  format: 'structured' | 'binary' = 'structured',
): Promise<EndpointUnderTest> {
  const gate = await startGate({ port: redis.port });
  const name = `place.${(places += 1)}`;
  const uri = `redis://${redisPassword}@127.0.0.1:${gate.port}/3?${type}=${name}`;
  const reader = await readers[type](redis, name, format);
  return {
    uri,
    sibling: `${uri}.other`,
    secrets: [redisPassword],
    received: () => reader.received(),
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: async () => {
      await reader[Symbol.asyncDispose]();
      await gate[Symbol.asyncDispose]();
    },
  };
}

const readers: Record<
  Type,
  (redis: RunningRedis, name: string, format: 'structured' | 'binary') => Promise<Reader>
> = {
  stream: async (redis, name, format) => ({
    received: async () => {
      const answer = (await redis.ask(['XRANGE', name, '-', '+'], 3)) as [Buffer, Buffer[]][];
      return answer.map(([, words]) => {
        const fields = fieldsOf(words);
        if (format === 'structured') return receivedDocument(String(fields.get('event')));
        return receivedBeside((one) => fields.get(one)?.toString(), fields.get('value'));
      });
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
  list: async (redis, name) => ({
    received: async () => {
      const items = (await redis.ask(['LRANGE', name, '0', '-1'], 3)) as Buffer[];
      return items.map((item) => receivedDocument(item.toString()));
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
  channel: async (redis, name) => {
    const came: Received[] = [];
    const socket = { port: redis.port };
    const client = createClient({ socket, password: redisPassword, RESP: 2 });
    await client.on('error', () => undefined).connect();
    await client.subscribe(name, (message) => came.push(receivedDocument(message)));
    return {
      received: async () => came,
      [Symbol.asyncDispose]: async () => client.destroy(),
    };
  },
};

function fieldsOf(words: readonly Buffer[]): ReadonlyMap<string, Buffer> {
  const fields = new Map<string, Buffer>();
  for (let at = 0; at < words.length; at += 2) {
    fields.set(String(words[at]), words[at + 1] as Buffer);
  }
  return fields;
}
