import type { LineResult } from './harness/duel.js';

/**
 * What each figure must reach. A ratio is ours over theirs. `floor` is what makes the line acceptable, `goal` what it is
 * meant to be. For `less` lower is better.
 */
export interface Target {
  readonly suite:
    | 'core'
    | 'server'
    | 'watch'
    | 'lock'
    | 'messaging'
    | 'delivery'
    | 'file'
    | 'cluster'
    | 'etcd-api'
    | 'stash';
  /** The line's name, as the suite calls it. */
  readonly line: string;
  /** The side it is compared with; absent: the first side's own value is judged. */
  readonly peer?: string;
  readonly better: 'more' | 'less';
  readonly floor: number;
  readonly goal: number;
}

type Row = readonly [
  suite: Target['suite'],
  line: string,
  peer: string,
  better: Target['better'],
  floor: number,
  goal: number,
];

const rows: readonly Row[] = [
  ['core', 'in-process commit', 'Map.set', 'more', 0.15, 0.3],
  ['core', 'in-process read', 'Map.get', 'more', 0.4, 0.6],
  ['core', 'memory per key', 'redis', 'less', 4, 2],
  ['core', 'p99 of a put beside 100 000 live leases', 'none', 'less', 2, 2],
  ['core', 'p99 of a put beside 1 000 000 live leases', 'none', 'less', 2, 2],
  ['core', 'bytes per live lease', '', 'less', 400, 400],
  ['core', 'start to first answer: library', '', 'less', 50, 20],
  ['core', 'start to first answer: server', '', 'less', 500, 250],
  ['server', 'put, 128 in flight', 'ioredis (auto-pipelining)', 'more', 2, 3],
  ['server', 'get, 128 in flight', 'ioredis (auto-pipelining)', 'more', 2, 3],
  ['server', 'cas, 128 in flight', 'ioredis (auto-pipelining)', 'more', 2, 4],
  ['server', 'put, 128 in flight', 'etcd3', 'more', 40, 80],
  ['server', 'get, 128 in flight', 'etcd3', 'more', 40, 80],
  ['server', 'cas, 128 in flight', 'etcd3', 'more', 40, 80],
  ['server', 'put p50, one in flight', 'ioredis', 'less', 1.3, 1.05],
  ['server', 'put p50, one in flight, Unix socket', 'ioredis', 'less', 1.3, 0.9],
  ['server', 'lease grants, 128 in flight', 'etcd3', 'more', 20, 60],
  ['server', 'lease renewals, 128 in flight', 'etcd3', 'more', 8, 20],
  ['file', 'put flushed, 128 in flight', 'redis AOF always', 'more', 0.9, 1.7],
  ['file', 'put flushed, 128 in flight', 'own memory engine', 'more', 0.25, 0.4],
  ['file', 'put flushed, 1 in flight', 'redis AOF always', 'more', 0.5, 0.9],
  ['file', 'put flushed, 16 in flight', 'redis AOF always', 'more', 0.6, 1.0],
  ['cluster', 'put through the etcd engine, 128 in flight', 'etcd3', 'more', 10, 20],
  ['cluster', 'put through the etcd engine, 128 in flight', 'plain grpc-js', 'more', 3, 6],
  [
    'cluster',
    'put through the etcd engine, 128 in flight, etcd in memory',
    'etcd3',
    'more',
    10,
    20,
  ],
  ['cluster', 'put through the etcd engine, 128 in flight, etcd 3.5', 'etcd3', 'more', 10, 20],
  [
    'cluster',
    'put through the etcd engine, 128 in flight, etcd 3.5',
    'plain grpc-js',
    'more',
    3,
    6,
  ],
  ['cluster', 'put through the PostgreSQL engine, 128 in flight', 'pg pool', 'more', 3, 8],
  ['cluster', 'CPU of etcd under 1 000 watchers of one server', 'one watcher', 'less', 1.2, 1.2],
  ['etcd-api', 'etcd API: put, 1 stream, memory', 'etcd', 'more', 1.2, 4],
  ['etcd-api', 'etcd API: put, 16 streams, memory', 'etcd', 'more', 1, 8],
  ['etcd-api', 'etcd API: put, 128 streams, memory', 'etcd', 'more', 0.5, 5],
  ['etcd-api', 'etcd API: put, 1 stream, file', 'etcd', 'more', 0.7, 1],
  ['etcd-api', 'etcd API: put, 16 streams, file', 'etcd', 'more', 0.7, 2.5],
  ['etcd-api', 'etcd API: put, 128 streams, file', 'etcd', 'more', 0.4, 3],
  ['lock', 'lock + release, 16 uncontended', 'redis-semaphore', 'more', 1.2, 2],
  ['lock', 'lock + release, 16 uncontended', 'etcd3', 'more', 50, 120],
  ['lock', 'fair hand-over, 16 contending', 'PostgreSQL advisory', 'more', 0.5, 1],
  ['lock', 'fair hand-over, 16 contending', 'ZooKeeper recipe', 'more', 4, 8],
  ['lock', 'fair hand-over, 16 contending', 'etcd Lock service', 'more', 25, 55],
  ['lock', 'fair hand-over, 16 contending', 'redlock, 1 ms retry', 'more', 5, 10],
  ['lock', 'hand-over p50', 'raw TCP echo', 'less', 4, 2.5],
  ['lock', 'hand-over of an election p50', 'raw TCP echo', 'less', 4, 2.5],
  ['lock', 'hand-over of an election p50', 'etcd3 election', 'less', 0.2, 0.1],
  ['lock', 'hand-over of a permit p50', 'raw TCP echo', 'less', 4, 2.5],
  ['lock', 'hand-over of a permit p50', 'redis-semaphore, 1 ms retry', 'less', 0.2, 0.1],
  // A question takes two hops to its handler and its answer two back: twice an echo is the least that a relay can take. Beside NATS the ways are the same.
  ['messaging', 'send to the leader p50', 'raw TCP echo', 'less', 4, 2.5],
  ['messaging', 'send to the leader p50', 'NATS request', 'less', 1.5, 1],
  ['messaging', 'send to the leader, 16 in flight', 'NATS request', 'more', 1, 2],
  ['messaging', 'send to the leader, 128 in flight', 'NATS request', 'more', 1, 2],
  ['messaging', 'send to the leader, 128 in flight', 'Redis pub/sub', 'more', 0.6, 1],
  ['messaging', 'send to a member p50', 'raw TCP echo', 'less', 4, 2.5],
  // Fifty messages, each with an outcome of its own, beside one that the peer's server copies.
  ['messaging', 'broadcast to 50 members p50', 'NATS scatter-gather', 'less', 4, 2],
  ['delivery', 'delivered over http, batches of 100', 'by hand', 'more', 0.8, 1],
  ['delivery', 'put → received over http p50', 'by hand', 'less', 1.25, 1],
  ['delivery', 'delivered over redis, batches of 100', 'by hand', 'more', 0.8, 1],
  ['delivery', 'put → received over redis p50', 'by hand', 'less', 1.25, 1],
  ['delivery', 'delivered over amqp, batches of 100', 'by hand', 'more', 0.8, 1],
  ['delivery', 'put → received over amqp p50', 'by hand', 'less', 1.25, 1],
  ['stash', '100 000 getMany, one node', 'redis mGet', 'less', 1.5, 1],
  ['stash', '100 000 putMany, flushed, one node', 'LMDB in process', 'less', 2, 1.2],
  ['stash', '100 000 getMany at all, one node', '', 'less', 400, 300],
  ['stash', '100 000 getMany at all, three nodes', '', 'less', 400, 300],
  ['stash', '100 000 getMany, three nodes', 'one node', 'less', 5, 3],
  ['stash', '100 000 putMany, flushed, three nodes', 'one node', 'less', 5, 3],
  ['watch', 'delivered to 1 000 watchers', 'Redis pub/sub', 'more', 0.6, 1],
  ['watch', 'delivered to 1 000 watchers', 'NATS core', 'more', 2, 3.5],
  ['watch', 'delivered to 1 000 watchers', 'etcd3 watch', 'more', 12, 25],
  ['watch', 'put → notified p50, 1 watcher', 'Redis pub/sub', 'less', 1.2, 0.8],
  ['watch', 'put → notified p50, 1 000 watchers', 'Redis pub/sub', 'less', 1.4, 1],
  ['watch', 'notified in the last 10 s of 60', 'first 10 s', 'less', 1.2, 1.2],
  ['watch', 'write beside 100 000 watchers', 'no watchers', 'less', 1.3, 1.05],
];

export const targets: readonly Target[] = rows.map(([suite, line, peer, better, floor, goal]) => ({
  suite,
  line,
  ...(peer === '' ? {} : { peer }),
  better,
  floor,
  goal,
}));

export type Verdict = 'below floor' | 'floor' | 'goal';

export interface Judged {
  readonly target: Target;
  readonly measured: number;
  readonly min: number;
  readonly max: number;
  readonly verdict: Verdict;
  /** The runs were within a factor of three of each other: else something else used the machine, and the verdict means little. */
  readonly steady: boolean;
}

/** Every target that these results can answer. */
export function judge(results: readonly LineResult[]): Judged[] {
  return targets.flatMap((target) => {
    const result = results.find(({ line }) => line === target.line);
    const measured =
      target.peer === undefined
        ? result?.sides[0]?.value
        : result?.ratios.find(({ peer }) => peer === target.peer);
    if (measured === undefined) return [];
    const { median, min, max } = measured;
    return [
      {
        target,
        measured: median,
        min,
        max,
        verdict: verdictOf(target, median),
        steady: max <= 3 * min,
      },
    ];
  });
}

function verdictOf({ better, floor, goal }: Target, measured: number): Verdict {
  const reaches = (bound: number): boolean =>
    better === 'more' ? measured >= bound : measured <= bound;
  return reaches(goal) ? 'goal' : reaches(floor) ? 'floor' : 'below floor';
}
