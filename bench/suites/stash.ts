import type { Side } from '../harness/duel.js';
import { startPostgres, startRedis } from '../servers/index.js';
import { startStash } from '../servers/stash-nodes.js';
import type { BatchOp } from '../workloads/batches.js';
import { none, type Stage } from './stage.js';

type SideOf = (op: BatchOp) => Side;

/**
 * Entries of 100 bytes through a server, with its own node alone, or with two more in processes of their own: three copies then. Puts are on disk when they are answered; Redis has them in memory where it does not say
 * otherwise.
 */
export async function stashSuite(stage: Stage): Promise<void> {
  const one = await stage.server('one node', () => startStash(0));
  await batches(stage, batchSide(stage, 'waymark', 'stashBatch', one.address));
  await singles(stage, one.address);
  await threeNodes(stage, batchSide(stage, 'one node', 'stashBatch', one.address));
}

async function batches(stage: Stage, ours: SideOf): Promise<void> {
  const lmdb = batchSide(stage, 'LMDB in process', 'lmdbBatch', '');
  const redis = async (name: string): Promise<SideOf> =>
    batchSide(stage, name, 'redisBatch', (await stage.server('redis', startRedis)).address);
  const postgres = async (name: string): Promise<SideOf> => {
    const { address } = await stage.server('postgres', startPostgres);
    return batchSide(stage, name, 'postgresBatch', address);
  };
  await stage.line(
    '100 000 putMany, flushed, one node',
    'ms in all',
    async () => [ours('put')],
    async () => [
      lmdb('put'),
      (await redis('redis mSet'))('put'),
      (await postgres('PostgreSQL COPY'))('put'),
    ],
  );
  await stage.line(
    '100 000 getMany, one node',
    'ms in all',
    async () => [ours('get')],
    async () => [
      (await redis('redis mGet'))('get'),
      lmdb('get'),
      (await postgres('PostgreSQL ANY'))('get'),
    ],
  );
  await stage.line('100 000 getMany at all, one node', 'ms', async () => [ours('get')], none);
}

async function singles(stage: Stage, address: string): Promise<void> {
  for (const op of ['put', 'get'] as const) {
    for (const inFlight of [1, 16, 128]) {
      const params = { op, inFlight, seconds: 2 };
      await stage.line(
        `stash ${op}, ${inFlight} in flight, one node`,
        'operations/s',
        async () => [stage.side('waymark', 'waymarkStash', address, 'load', params)],
        async () => {
          const always = () =>
            stage.server('redis always', () => startRedis({ appendAlways: true }));
          const { address: redis } = await always();
          return [stage.side('redis AOF always', 'ioredis', redis, 'load', params)];
        },
      );
    }
  }
}

async function threeNodes(stage: Stage, one: SideOf): Promise<void> {
  const sides = async (op: BatchOp): Promise<Side[]> => {
    const { address } = await stage.server('three nodes', () => startStash(2));
    return [batchSide(stage, 'three nodes', 'stashBatch', address)(op), one(op)];
  };
  await stage.line('100 000 putMany, flushed, three nodes', 'ms in all', () => sides('put'), none);
  await stage.line('100 000 getMany, three nodes', 'ms in all', () => sides('get'), none);
  await stage.line(
    '100 000 getMany at all, three nodes',
    'ms',
    async () => (await sides('get')).slice(0, 1),
    none,
  );
}

function batchSide(stage: Stage, name: string, workload: string, address: string): SideOf {
  const worker = stage.worker(`batches of ${workload} ${address}`);
  return (op) => ({ name, run: () => worker.run(workload, { op, address }) });
}
