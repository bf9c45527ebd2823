import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Change, type Engine, openEngine, prefixRange } from 'waymark/engine';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';
import { writeByEngine, writeBySql, writerName, type Written } from './postgres-writers.js';

const file = 'test/engines/postgres-order.test.ts';
const commits = Number(process.env['COMMITS'] ?? sized(4_000, 100_000));
/** So many commits apart a backend is killed, and each fifth time the server. */
const killEvery = sized(150, 1_000);
const sqlWriters = 12;
const engineWriters = 4;
const schema = 'ordered';

let server: RunningPostgres;

beforeAll(async () => {
  server = await startPostgres({ settings: { log_min_messages: 'panic' } });
});

afterAll(async () => {
  await server.stop();
});

test(
  `[K1 K8] ${commits} commits by ${sqlWriters + engineWriters} writers with open transactions, roll-backs and kills: watchers see all, in order`,
  { timeout: 180_000 + 60 * commits },
  async () => {
    const seed = chooseSeed(file);
    const random = new SeededRandom(seed);
    const url = `${server.url}?schema=${schema}&timeoutMs=10000`;
    await using engine = await openEngine(url);
    const watchers = await Promise.all(Array.from({ length: 3 }, () => Watcher.begin(url)));
    const journal: Written[] = [];
    let committed = 0;
    const written = (write: Written): void => {
      journal.push(write);
      if (write.fate === 'committed') committed++;
    };
    const more = (): boolean => committed < commits;
    const writers = Array.from({ length: sqlWriters + engineWriters }, (_, n) => {
      const call = { name: `w${n}`, random: new SeededRandom(seed + n), more, written };
      return n < sqlWriters ? writeBySql(server.url, schema, call) : writeByEngine(url, call);
    });
    const kills = await killWhile(() => committed, random);
    await Promise.all(writers);
    console.log(
      `${journal.length} transactions, ${kills.backends} backends and ${kills.servers} servers killed`,
    );

    const log = await logOf(server.url);
    const { revision } = await engine.read({ key: 'n' });
    for (const watcher of watchers) {
      await watcher.reach(revision);
      expect(watcher.broken, `order broken, seed ${seed}`).toEqual([]);
      expect(watcher.seen, `missed or doubled, seed ${seed}`).toEqual(log);
      await watcher.leave();
    }
    judge(journal, log);
    expect(journal.some(({ fate }) => fate === 'rolled back')).toBe(true);
    expect(kills.backends).toBeGreaterThan(0);
    expect(kills.servers).toBeGreaterThan(0);
  },
);

test('[checker] control: with a sequence as revision the same look misses commits', async () => {
  const random = new SeededRandom(chooseSeed(file));
  const control = new pg.Client(server.url);
  await control.connect();
  await control.query('create table control (revision bigserial primary key)');
  let left = 400;
  const writers = Array.from({ length: 16 }, async () => {
    const client = new pg.Client(server.url);
    await client.connect();
    while (left-- > 0) {
      await client.query('begin');
      await client.query('insert into control default values');
      await client.query('select pg_sleep($1)', [random.below(200) / 1_000]);
      await client.query('commit');
    }
    await client.end();
  });
  let last = 0;
  let seen = 0;
  let writing = true;
  const done = Promise.all(writers).then(() => (writing = false));
  for (let again = true; again;) {
    again = writing;
    const text = 'select revision from control where revision > $1 order by revision';
    const { rows } = await control.query<{ revision: string }>(text, [last]);
    seen += rows.length;
    last = Number(rows.at(-1)?.revision ?? last);
  }
  await done;
  const { rows } = await control.query<{ count: string }>('select count(*) from control');
  await control.end();
  expect(Number(rows[0]?.count)).toBeGreaterThan(seen);
});

/** Kills a writer's backend every so many commits, and every fifth time the whole server. */
async function killWhile(
  committed: () => number,
  random: SeededRandom,
): Promise<{ backends: number; servers: number }> {
  const kills = { backends: 0, servers: 0 };
  for (let at = killEvery; at < commits; at += killEvery) {
    while (committed() < at) await new Promise((resolve) => setTimeout(resolve, 5));
    if ((at / killEvery) % 5 === 0) {
      await server.kill();
      await server.restart();
      kills.servers++;
      continue;
    }
    const client = new pg.Client(server.url);
    client.on('error', () => {});
    try {
      await client.connect();
      const text = 'select pid from pg_stat_activity where application_name = $1';
      const { rows } = await client.query<{ pid: number }>(text, [writerName]);
      if (rows.length === 0) continue;
      process.kill(random.pick(rows).pid, 'SIGKILL');
      kills.backends++;
    } catch {
      // The server is still getting over the kill before.
    } finally {
      await client.end().catch(() => {});
    }
  }
  return kills;
}

/** `revision key value`, as the database has it. */
async function logOf(url: string): Promise<string[]> {
  const client = new pg.Client(url);
  await client.connect();
  const text = `select revision || ' ' || path || ' ' || value as line from ${schema}.log_text order by revision`;
  const { rows } = await client.query<{ line: string }>(text);
  await client.end();
  return rows.map(({ line }) => line);
}

/** What was committed is there at the revision that was told, and what was rolled back is not. */
function judge(journal: readonly Written[], log: readonly string[]): void {
  const there = new Set(log);
  const values = new Set(log.map((line) => line.split(' ')[2]));
  const wrong = journal.filter(({ fate, revision, key, value }) =>
    fate === 'committed'
      ? !there.has(`${revision} ${key} ${value}`)
      : fate === 'rolled back' && values.has(value),
  );
  expect(wrong, 'the log has what was committed, and nothing else').toEqual([]);
}

/** A watch on an engine of its own, over all kills. */
class Watcher {
  readonly seen: string[] = [];
  readonly broken: string[] = [];
  readonly #engine: Engine;
  readonly #abort = new AbortController();
  #told = 0;
  #reached = (): void => {};
  readonly #ended: Promise<void>;

  private constructor(engine: Engine) {
    this.#engine = engine;
    this.#ended = this.#watch();
  }

  static async begin(url: string): Promise<Watcher> {
    return new Watcher(await openEngine(url));
  }

  async reach(revision: number): Promise<void> {
    while (this.#told < revision) {
      await Promise.race([new Promise<void>((resolve) => (this.#reached = resolve)), this.#ended]);
    }
  }

  async leave(): Promise<void> {
    this.#abort.abort();
    await this.#ended.catch(() => {});
    await this.#engine[Symbol.asyncDispose]();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    const range = prefixRange('n/w/d');
    for await (const { revision, changes } of this.#engine.watch([range], { after: 0, signal })) {
      for (const change of changes) this.#take(change);
      this.#told = revision;
      this.#reached();
    }
  }

  #take({ entry }: Change): void {
    const { modRevision, key, value } = entry;
    if (modRevision <= this.#told) this.broken.push(`${modRevision} after ${this.#told}`);
    this.seen.push(`${modRevision} ${key.slice('n/w/d'.length)} ${value}`);
  }
}
