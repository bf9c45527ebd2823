import {
  startEcho,
  startEtcd,
  startPostgres,
  startRedis,
  startWaymark,
  startZooKeeper,
} from '../servers/index.js';
import type { Stage } from './stage.js';

/** Locks: uncontended, contended, and one hand-over; beside it that of an election. */
export async function lockSuite(stage: Stage): Promise<void> {
  const waymark = await stage.server('waymark', () => startWaymark());
  const redis = () => stage.server('redis', () => startRedis());
  const etcd = () => stage.server('etcd', startEtcd);

  const apart = { op: 'lock', inFlight: 16, seconds: 2 };
  await stage.line(
    'lock + release, 16 uncontended',
    'pairs/s',
    async () => [stage.side('waymark', 'waymark', waymark.address, 'load', apart)],
    async () => [
      stage.side('redis-semaphore', 'redisSemaphore', (await redis()).address, 'load', apart),
      stage.side('etcd3', 'etcd3', (await etcd()).address, 'load', apart),
    ],
  );

  const contended = { contenders: 16, seconds: 2, measure: 'changes' };
  await stage.line(
    'fair hand-over, 16 contending',
    'changes of holder/s',
    async () => [stage.side('waymark', 'waymark', waymark.address, 'contend', contended)],
    async () => {
      const postgres = await stage.server('postgres', startPostgres);
      const zooKeeper = await stage.server('zookeeper', startZooKeeper);
      return [
        stage.side('PostgreSQL advisory', 'postgres', postgres.address, 'contend', contended),
        stage.side('ZooKeeper recipe', 'zooKeeper', zooKeeper.address, 'contend', contended),
        stage.side(
          'etcd Lock service',
          'etcdLockService',
          (await etcd()).address,
          'contend',
          contended,
        ),
        stage.side('redlock, 1 ms retry', 'redlock', (await redis()).address, 'contend', contended),
      ];
    },
  );

  // Both hold for a millisecond, so that the next one waits in the queue when the first releases.
  const pair = { contenders: 2, seconds: 2, holdMs: 1, measure: 'handover' };
  const ping = { op: 'put', perSecond: 1_000, seconds: 2 };
  await stage.line(
    'hand-over p50',
    'ms, release → the next holder’s code; against a round trip',
    async () => {
      const echo = await stage.server('echo', startEcho);
      return [
        stage.side('waymark', 'waymark', waymark.address, 'contend', pair),
        stage.side('raw TCP echo', 'echo', echo.address, 'openLoop', ping),
      ];
    },
    async () => [],
  );

  await stage.line(
    'hand-over of an election p50',
    'ms, resignation → the next leader’s code; against the lock’s',
    async () => [
      stage.side('waymark election', 'waymark', waymark.address, 'contend', {
        ...pair,
        recipe: 'elect',
      }),
      stage.side('waymark lock', 'waymark', waymark.address, 'contend', pair),
    ],
    async () => [],
  );
}
