import type { Side } from '../harness/duel.js';
import { startRedis, startWaymark } from '../servers/index.js';
import type { BatchOp } from '../workloads/batches.js';
import { none, type Stage } from './stage.js';

/** Entries of 100 bytes in batches, through a server with a node of its own. Puts are on its disk when they are answered; Redis has them in memory. */
export async function stashSuite(stage: Stage): Promise<void> {
  const waymark = await stage.server('waymark', () => startWaymark({ engine: 'file' }));
  const ours = batchSide(stage, 'waymark', 'stashBatch', waymark.address);
  await stage.line(
    '100 000 putMany, flushed, one node',
    'ms in all',
    async () => [ours('put')],
    async () => {
      const redis = await stage.server('redis', startRedis);
      return [
        batchSide(stage, 'LMDB in process', 'lmdbBatch', '')('put'),
        batchSide(stage, 'redis mSet', 'redisBatch', redis.address)('put'),
      ];
    },
  );
  await stage.line(
    '100 000 getMany, one node',
    'ms in all',
    async () => [ours('get')],
    async () => {
      const redis = await stage.server('redis', startRedis);
      return [
        batchSide(stage, 'redis mGet', 'redisBatch', redis.address)('get'),
        batchSide(stage, 'LMDB in process', 'lmdbBatch', '')('get'),
      ];
    },
  );
  await stage.line('100 000 getMany at all, one node', 'ms', async () => [ours('get')], none);
}

function batchSide(stage: Stage, name: string, workload: string, address: string) {
  const worker = stage.worker(`batches of ${name}`);
  return (op: BatchOp): Side => ({ name, run: () => worker.run(workload, { op, address }) });
}
