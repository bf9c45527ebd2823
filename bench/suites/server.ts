import { startEtcd, startRedis, startWaymark } from '../servers/index.js';
import type { Stage } from './stage.js';

/** Puts, gets and conditional puts over the wire, and leases. */
export async function serverSuite(stage: Stage): Promise<void> {
  const waymark = await stage.server('waymark', () => startWaymark());
  const redis = () => stage.server('redis', () => startRedis());
  const etcd = () => stage.server('etcd', startEtcd);

  for (const op of ['put', 'get', 'cas'] as const) {
    const params = { op, inFlight: 128, seconds: 2 };
    await stage.line(
      `${op}, 128 in flight`,
      'operations/s',
      async () => [stage.side('waymark', 'waymark', waymark.address, 'load', params)],
      async () => {
        const [fast, raft] = [await redis(), await etcd()];
        return [
          stage.side('ioredis (auto-pipelining)', 'ioredis', fast.address, 'load', params),
          ...(op === 'cas'
            ? []
            : [stage.side('node-redis', 'nodeRedis', fast.address, 'load', params)]),
          stage.side('etcd3', 'etcd3', raft.address, 'load', params),
        ];
      },
    );
  }

  const paced = { op: 'put', perSecond: 2_000, seconds: 2 };
  await stage.line(
    'put p50, one in flight',
    'ms, 2 000/s open loop',
    async () => [stage.side('waymark', 'waymark', waymark.address, 'openLoop', paced)],
    async () => [stage.side('ioredis', 'ioredisPlain', (await redis()).address, 'openLoop', paced)],
  );
  await stage.line(
    'put p50, one in flight, Unix socket',
    'ms, 2 000/s open loop',
    async () => {
      const local = await stage.server('waymark unix', () => startWaymark({ unix: true }));
      return [stage.side('waymark', 'waymark', local.address, 'openLoop', paced)];
    },
    async () => {
      const local = await stage.server('redis unix', () => startRedis({ unix: true }));
      return [stage.side('ioredis', 'ioredisPlain', local.address, 'openLoop', paced)];
    },
  );

  for (const [op, name] of [
    ['grant', 'lease grants'],
    ['renew', 'lease renewals'],
  ] as const) {
    const params = { op, inFlight: 128, seconds: 2 };
    await stage.line(
      `${name}, 128 in flight`,
      'operations/s',
      async () => [stage.side('waymark', 'waymarkEngine', waymark.address, 'load', params)],
      async () => [stage.side('etcd3', 'etcd3', (await etcd()).address, 'load', params)],
    );
  }
}
