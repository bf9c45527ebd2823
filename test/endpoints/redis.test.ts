import { endpointSuite } from '@waymark/server/testing';
import { afterAll, beforeAll, test } from 'vitest';
import { redisKind } from '../../packages/server/src/endpoints/redis/redis-endpoint.js';
import { type RunningRedis, startRedis } from '../support/redis.js';
import { redisPassword, redisPlace } from './redis-place.js';

let redis: RunningRedis;
beforeAll(async () => {
  redis = await startRedis({ password: redisPassword });
});
afterAll(() => redis.stop());

const wrong = [
  { uri: 'redis://h/db', names: 'number of a database' },
  { uri: 'redis://h/-1', names: 'number of a database' },
  { uri: 'redis://h/0/1', names: 'number of a database' },
  { uri: 'redis://h/9999999999', names: 'number of a database' },
  { uri: 'redis://h/?stream=', names: 'stream is empty' },
  { uri: 'redis://h/?list=', names: 'list is empty' },
  { uri: 'redis://h/?stream=a&list=b', names: 'stream and list' },
  { uri: 'redis://h/?list=a&list=b', names: "'list' stands more than once" },
  { uri: 'redis://h/?set=a', names: "'set'" },
  { uri: 'redis://h/?list=a&maxlen=1', names: 'of streams' },
  { uri: 'redis://h/?stream=a&maxlen=0', names: 'maxlen' },
  { uri: 'redis://h/?stream=a&maxlen=1.5', names: 'maxlen' },
  { uri: 'redis://h/?stream=a&maxlen=9999999999999999', names: 'maxlen' },
  { uri: `redis://h/?list=${'x'.repeat(1_025)}`, names: '1024 bytes' },
  { uri: 'redis://h/?list=waymark:fence:x', names: 'fences' },
  { uri: 'redis://h:0/', names: 'port 0' },
  { uri: 'redis:///0', names: 'host' },
  { uri: 'redis://h/?list=a', names: 'structured', settings: { format: 'binary' } },
  { uri: 'redis://h/?channel=a', names: 'structured', settings: { format: 'binary' } },
  { uri: 'redis://h/', names: 'not signed', settings: { secrets: ['whsec_x'] } },
] as const;

endpointSuite({
  test,
  name: 'redis stream',
  kind: redisKind,
  wrong,
  start: () => redisPlace(redis, 'stream'),
});

endpointSuite({
  test,
  name: 'redis stream, binary',
  kind: redisKind,
  wrong: [],
  settings: { format: 'binary' },
  start: () => redisPlace(redis, 'stream', 'binary'),
});

for (const type of ['list', 'channel'] as const) {
  endpointSuite({
    test,
    name: `redis ${type}`,
    kind: redisKind,
    wrong: [],
    start: () => redisPlace(redis, type),
  });
}
