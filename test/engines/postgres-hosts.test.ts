import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { isWaymarkError, WaymarkError } from 'waymark';
import { type Engine, openEngine } from 'waymark/engine';
import { FaultProxy } from '../faults/proxy.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

const servers: RunningPostgres[] = [];

afterEach(async () => {
  for (const server of servers.splice(0).reverse()) await server.stop();
});

interface Pair {
  readonly primary: RunningPostgres;
  readonly standby: RunningPostgres;
}

async function startPair(): Promise<Pair> {
  const primary = await startPostgres();
  servers.push(primary);
  const standby = await startPostgres({ standbyOf: primary });
  servers.push(standby);
  return { primary, standby };
}

async function sql(server: RunningPostgres, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(server.url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

/** What was written there has come to the standby. */
async function caughtUp({ primary, standby }: Pair): Promise<void> {
  const [row] = await sql(primary, 'select pg_current_wal_lsn()::text as position');
  const reached = `select pg_last_wal_replay_lsn() >= '${String(row?.['position'])}' as reached`;
  while ((await sql(standby, reached))[0]?.['reached'] !== true);
}

function urlOf(ports: readonly (number | string)[], options: string): string {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
  return `postgres://waymark@${hosts}/postgres?${options}`;
}

async function put(engine: Engine, key: string): Promise<number> {
  return (await engine.commit({ apply: [{ type: 'put', key, value: '' }] })).revision;
}

async function failureOf(call: Promise<unknown>): Promise<WaymarkError | null> {
  return await call.then(
    () => null,
    (error: unknown) => {
      expect(isWaymarkError(error), String(error)).toBe(true);
      return error as WaymarkError;
    },
  );
}

test('[postgres] of several hosts the primary is taken, wherever it stands in the URL, and the one promoted after it', async () => {
  const pair = await startPair();
  const { primary, standby } = pair;
  const url = urlOf(
    [1, standby.port, primary.port],
    'target_session_attrs=read-write&timeoutMs=30000',
  );
  await using engine = await openEngine(url);
  const { identity } = await engine.status();
  const before = await put(engine, 'k');
  const watch = engine.watch([{ key: 'k' }], { after: before })[Symbol.asyncIterator]();
  const next = watch.next();
  await caughtUp(pair);
  await primary.kill();
  const waits = engine.read({ key: 'k' });
  await sql(standby, 'select pg_promote(false)');
  expect((await waits).entries.map(({ modRevision }) => modRevision)).toEqual([before]);
  const after = await put(engine, 'k');
  expect(after).toBeGreaterThan(before);
  expect((await engine.status()).identity).toBe(identity);
  let batch = await next;
  while (batch.value?.changes.length === 0) batch = await watch.next();
  expect(batch.value?.changes[0]?.entry.modRevision).toBe(after);
});

test('[K11] a call that was sent to a primary which then fell silent is uncertain, and the next one goes to the one promoted', async () => {
  const pair = await startPair();
  await using proxy = await FaultProxy.open(pair.primary.url.replace('postgres://', 'http://'));
  const { port } = new URL(proxy.url);
  await using engine = await openEngine(urlOf([port, pair.standby.port], 'timeoutMs=2000'));
  await put(engine, 'k');
  await caughtUp(pair);
  proxy.halfOpen = true;
  const lost = await failureOf(put(engine, 'lost'));
  expect(lost?.code).toBe('uncertain');
  await sql(pair.standby, 'select pg_promote(true)');
  const since = performance.now();
  await put(engine, 'next');
  // The silent one lets connections in, and its word is not waited for.
  expect(performance.now() - since).toBeLessThan(1_500);
});

test('[K11] a call to a database that fell silent ends within its time, and one after it is over goes through', async () => {
  const server = await startPostgres();
  servers.push(server);
  await using proxy = await FaultProxy.open(server.url.replace('postgres://', 'http://'));
  await using engine = await openEngine(urlOf([new URL(proxy.url).port], 'timeoutMs=1000'));
  await put(engine, 'k');
  // Its connection is idle again: what is written next goes out on it.
  await engine.read({ key: 'k' });
  proxy.halfOpen = true;
  for (const [calls, code] of [
    [[() => put(engine, 'k')], 'uncertain'],
    [[() => engine.read({ key: 'k' }), () => engine.status()], 'unavailable'],
  ] as const) {
    const since = performance.now();
    const failures = await Promise.all(calls.map((call) => failureOf(call())));
    expect(performance.now() - since).toBeLessThan(2_500);
    for (const failure of failures) expect(failure?.code).toBe(code);
  }
  proxy.halfOpen = false;
  await put(engine, 'k');
});

test('[K7] a standby answers nothing: neither alone nor among hosts without a primary', async () => {
  const { primary, standby } = await startPair();
  const alone = await failureOf(openEngine(urlOf([standby.port], '')));
  expect(alone?.code).toBe('unavailable');
  expect(alone?.message).toContain(`127.0.0.1:${standby.port} is a standby`);
  const none = await failureOf(openEngine(urlOf([1, standby.port], 'timeoutMs=500')));
  expect(none?.code).toBe('unavailable');
  expect(none?.message).toMatch(/no host is the primary: .*127\.0\.0\.1:1\).*is a standby/);
  await sql(primary, 'alter role waymark set default_transaction_read_only = on');
  const readOnly = openEngine(
    urlOf([primary.port, 1], 'timeoutMs=500&target_session_attrs=read-write'),
  );
  expect((await failureOf(readOnly))?.message).toMatch(/takes no writes/);
  const missing = `postgres://waymark@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/missing`;
  expect((await failureOf(openEngine(missing)))?.code).toBe('invalid');
});

test('[postgres] hosts that the URL gets wrong are told', async () => {
  const wrong = [
    'postgres://a,/db',
    'postgres://a,b:x/db',
    'postgres://a,b/db?host=/tmp',
    'postgres:///db?host=a,b',
    'postgres://a,b/db?target_session_attrs=standby',
    'postgres://a,b/db?target_session_attrs=any',
    'postgres://a,b/db?hosts=c',
  ];
  for (const url of wrong) expect((await failureOf(openEngine(url)))?.code, url).toBe('invalid');
});
