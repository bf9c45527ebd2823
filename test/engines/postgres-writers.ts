import pg from 'pg';
import { isWaymarkError } from 'waymark';
import { openEngine } from 'waymark/engine';
import type { SeededRandom } from '../faults/random.js';

/** What a writer knows of one of its commits. */
export interface Written {
  readonly key: string;
  readonly value: string;
  /** `unknown`: its COMMIT was sent and not answered. */
  readonly fate: 'committed' | 'rolled back' | 'unknown';
  /** Told by the transaction, 0 when it was not. */
  readonly revision: number;
}

export interface WriterCall {
  readonly name: string;
  readonly random: SeededRandom;
  /** Goes on until this is false. */
  readonly more: () => boolean;
  readonly written: (write: Written) => void;
}

/** Of a hundred transactions one is rolled back, and three hold the row of revisions for long. */
const rolledBack = 0.01;
const holdsLong = 0.03;
const openMsMax = 200;

export const writerName = 'waymark-test-writer';

/** Writes by the SQL functions, in transactions that are open for 0 to 200 ms, before and after they took a revision. */
export async function writeBySql(url: string, schema: string, call: WriterCall): Promise<void> {
  const { name, random, more, written } = call;
  let client: pg.Client | null = null;
  for (let n = 0; more(); n++) {
    const value = `${name}-${n}`;
    const key = `/${name}-${random.below(4)}`;
    const openMs = random.below(openMsMax);
    const heldMs = random.next() < holdsLong ? openMs : random.below(2);
    let fate: Written['fate'] = 'rolled back';
    let revision = 0;
    try {
      client ??= await connect(url);
      await client.query('begin');
      await client.query('select pg_sleep($1)', [(openMs - heldMs) / 1_000]);
      const text = `select ${schema}.put_text('w', $1, $2) as revision`;
      const { rows } = await client.query<{ revision: string }>(text, [key, value]);
      revision = Number(rows[0]?.revision);
      await client.query('select pg_sleep($1)', [heldMs / 1_000]);
      if (random.next() < rolledBack) await client.query('rollback');
      else {
        fate = 'unknown';
        await client.query('commit');
        fate = 'committed';
      }
    } catch {
      // A transaction that a kill ended before its COMMIT has left nothing.
      await client?.end().catch(() => {});
      client = null;
    }
    written({ key, value, fate, revision });
  }
  await client?.end();
}

/** Writes by an engine of its own. */
export async function writeByEngine(url: string, call: WriterCall): Promise<void> {
  const { name, random, more, written } = call;
  await using engine = await openEngine(url);
  for (let n = 0; more(); n++) {
    const value = `${name}-${n}`;
    const key = `/${name}-${random.below(4)}`;
    await new Promise((resolve) => setTimeout(resolve, random.below(openMsMax)));
    try {
      const { revision } = await engine.commit({
        apply: [{ type: 'put', key: `n/w/d${key}`, value }],
      });
      written({ key, value, fate: 'committed', revision });
    } catch (error) {
      const fate = isWaymarkError(error, 'uncertain') ? 'unknown' : 'rolled back';
      const passing = ['uncertain', 'unavailable', 'overloaded'] as const;
      if (!passing.some((code) => isWaymarkError(error, code))) throw error;
      written({ key, value, fate, revision: 0 });
    }
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: writerName });
  client.on('error', () => {});
  await client.connect();
  return client;
}
