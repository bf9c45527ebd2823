import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient, type RedisClientType } from '@redis/client';
import { open as openLmdb, type RootDatabase } from 'lmdb';
import pg from 'pg';
import { codecs, open, type StashIndex } from 'waymark';
import { CopyIn } from '../clients/postgres-copy.js';
import { value100 } from '../harness/pace.js';
import { temporaryDirectory } from '../harness/processes.js';
import type { Sample } from '../harness/samples.js';

/**
 * 100 000 entries of 100 bytes written at once, or looked up at once in another order: the time of the whole, ms. Each side takes them in
 * parts of 1 000, with all parts under way that it has room for. What comes back is looked at.
 */
const count = 100_000;
const partKeys = 1_000;

export type BatchOp = 'put' | 'get';

export interface BatchParams {
  readonly op: BatchOp;
  readonly address: string;
}

const entries = Array.from({ length: count }, (_, n): readonly [string, string] => [
  `session/${String(n).padStart(10, '0')}`,
  value100,
]);
/** 7 919 and 100 000 have no factor in common: each key once, none beside its neighbour. */
const wanted = entries.map((_, n) => (entries[(n * 7_919) % count] as (typeof entries)[number])[0]);

let index: StashIndex<string> | undefined;

export async function stashBatch({ op, address }: BatchParams): Promise<Sample> {
  const stash = (index ??= (await open(address)).stash.index('bench', { codec: codecs.text }));
  return await timed('stash', op, {
    put: async () => void (await stash.putMany(entries)),
    get: () => stash.getMany(wanted),
  });
}

let redis: RedisClientType | undefined;

export async function redisBatch({ op, address }: BatchParams): Promise<Sample> {
  const [host = '', port] = address.split(':');
  if (redis === undefined) {
    redis = createClient({ socket: { host, port: Number(port) } });
    await redis.connect();
  }
  const client = redis;
  return await timed('redis', op, {
    put: async () => {
      const parts = partsOf(entries).map((part) =>
        client.mSet(part.map(([key, value]): [string, string] => [key, value])),
      );
      await Promise.all(parts);
    },
    get: async () => (await Promise.all(partsOf(wanted).map((part) => client.mGet(part)))).flat(),
  });
}

let postgres: pg.Client | undefined;

/** COPY into an empty table, which is made empty before the clock starts; and ANY, 10 000 keys a query. */
export async function postgresBatch({ op, address }: BatchParams): Promise<Sample> {
  const [host = '', port] = address.split(':');
  if (postgres === undefined) {
    const to = { host, port: Number(port), user: 'bench', database: 'postgres' };
    postgres = new pg.Client(to);
    await postgres.connect();
    await postgres.query('create table if not exists batch (key text primary key, value text)');
  }
  const client = postgres;
  if (op === 'put') await client.query('truncate batch');
  return await timed('postgres', op, {
    put: async () => {
      const bytes = Buffer.from(entries.map(([key, value]) => `${key}\t${value}\n`).join(''));
      await new Promise<void>((resolve, reject) => {
        const done = (error: unknown): void => (error instanceof Error ? reject(error) : resolve());
        client.query(new CopyIn('copy batch from stdin', bytes, done));
      });
    },
    get: async () => {
      const any = {
        name: 'any',
        text: 'select key, value from batch where key = any($1)',
        rowMode: 'array',
      } as const;
      const values = new Map<string, string>();
      for (const part of partsOf(wanted, 10_000)) {
        const { rows } = await client.query<[string, string]>({ ...any, values: [part] });
        for (const [key, value] of rows) values.set(key, value);
      }
      return wanted.map((key) => values.get(key));
    },
  });
}

let lmdb: RootDatabase<string, string> | undefined;

/** In this process, without a server: what its writes and reads alone take. */
export async function lmdbBatch({ op }: BatchParams): Promise<Sample> {
  if (lmdb === undefined) {
    const folder = await temporaryDirectory('lmdb');
    process.once('exit', () => void rm(folder, { recursive: true, force: true }));
    lmdb = openLmdb<string, string>({ path: join(folder, 'data'), encoding: 'string' });
  }
  const db = lmdb;
  return await timed('lmdb', op, {
    put: async () => {
      for (const [key, value] of entries) void db.put(key, value);
      await db.flushed;
    },
    get: async () => wanted.map((key) => db.get(key)),
  });
}

/** Sides that hold all entries: `--only` may leave out the line that writes them. */
const filled = new Set<string>();

async function timed(
  side: string,
  op: BatchOp,
  run: { put(): Promise<void>; get(): Promise<readonly (string | null | undefined)[]> },
): Promise<Sample> {
  if (op === 'get' && !filled.has(side)) await run.put();
  filled.add(side);
  const since = performance.now();
  if (op === 'put') {
    await run.put();
    return { value: performance.now() - since };
  }
  const found = await run.get();
  const value = performance.now() - since;
  const right = found.filter((one) => one?.length === value100.length).length;
  if (found.length !== count || right !== count) throw new Error(`${right} of ${count} were found`);
  return { value };
}

function partsOf<T>(all: readonly T[], keys = partKeys): T[][] {
  return Array.from({ length: Math.ceil(all.length / keys) }, (_, part) =>
    all.slice(part * keys, (part + 1) * keys),
  );
}
