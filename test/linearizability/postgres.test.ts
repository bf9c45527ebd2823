import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { type SeededRandom, sized } from '../faults/random.js';
import { startPostgres } from '../support/postgres.js';
import { tallyHistories } from './judged-histories.js';

const file = 'test/linearizability/postgres.test.ts';

/** Waits, unless it is over. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined);
}

test(
  '[K1 K2 K7 K8 K11] histories of 8 remote clients are linearizable while PostgreSQL loses connections and is killed',
  { timeout: 4_800_000 },
  async () => {
    const postgres = await startPostgres();
    let [kills, cuts] = [0, 0];
    const disturb = async (signal: AbortSignal, random: SeededRandom): Promise<void> => {
      while (!signal.aborted) {
        for (let cut = 0; cut < 8 && !signal.aborted; cut++) {
          await pause(100 + random.below(300), signal);
          cuts += await cutConnections(postgres.url);
        }
        await postgres.kill();
        await postgres.restart();
        kills++;
      }
    };
    const engine = `${postgres.url}?schema=histories&timeoutMs=2000`;
    const call = { file, engine, count: sized(10, 200), operations: 2_000, disturb };
    const { faults, changes } = await tallyHistories(call);
    console.log(`PostgreSQL was killed ${kills} times, and lost ${cuts} connections`);
    expect(faults).toEqual([]);
    expect(Math.min(kills, cuts, changes)).toBeGreaterThan(0);
    await postgres.stop();
  },
);

/** Ends every connection but the one that asks for it. @returns how many */
async function cutConnections(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => {});
  await client.connect();
  const text = `select pg_terminate_backend(pid) from pg_stat_activity
    where pid <> pg_backend_pid() and backend_type = 'client backend'`;
  const { rowCount } = await client.query(text);
  await client.end();
  return rowCount ?? 0;
}
