import type { ClientName } from '../clients/index.js';
import type { Side } from '../harness/duel.js';
import {
  startEcho,
  startEtcd,
  startPostgres,
  startRedis,
  startWaymark,
  startZooKeeper,
} from '../servers/index.js';
import { none, type Stage } from './stage.js';

/** Locks: uncontended, contended, and one hand-over; beside it those of an election and of a semaphore. */
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

  const echo = await stage.server('echo', startEcho);
  // Both hold for a millisecond or two, so that the next one waits in the queue when the first releases.
  const pair = { contenders: 2, seconds: 2, holdMs: 1, measure: 'handover' };
  const ping = { op: 'put', perSecond: 1_000, seconds: 2, warm: true };
  const handOver = (name: string, client: ClientName, address: string, recipe: string): Side =>
    stage.side(name, client, address, 'contend', { ...pair, recipe, inTurn: recipe === 'permit' });
  const beside = (recipe: string) => async (): Promise<readonly Side[]> => [
    handOver('waymark', 'waymark', waymark.address, recipe),
    stage.side('raw TCP echo', 'echo', echo.address, 'openLoop', ping),
  ];
  const unit = 'ms, release → the next holder’s code; against a round trip';
  await stage.line('hand-over p50', unit, beside('lock'), none);
  await stage.line('hand-over of an election p50', unit, beside('elect'), async () => [
    handOver('etcd3 election', 'etcd3', (await etcd()).address, 'elect'),
  ]);
  await stage.line('hand-over of a permit p50', unit, beside('permit'), async () => [
    handOver('redis-semaphore, 1 ms retry', 'redisSemaphore', (await redis()).address, 'permit'),
  ]);
}
