import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isWaymarkError, WaymarkError } from 'waymark';
import { type Engine, openEngine, type Outcome, systemClock } from 'waymark/engine';
import { FaultProxy } from '../faults/proxy.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

const file = 'test/engines/postgres-faults.test.ts';
let server: RunningPostgres;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

async function sql(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(server.url);
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

function put(engine: Engine, key: string, value = ''): Promise<{ readonly revision: number }> {
  return engine.commit({ apply: [{ type: 'put', key, value }] });
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

test('[postgres] of many that open a schema at once one makes it, and all have its identity', async () => {
  const url = `${server.url}?schema=together`;
  const engines = await Promise.all(Array.from({ length: 12 }, () => openEngine(url)));
  const identities = await Promise.all(
    engines.map(async (engine) => (await engine.status()).identity),
  );
  expect(new Set(identities).size).toBe(1);
  for (const engine of engines) await engine[Symbol.asyncDispose]();
});

test('[postgres] a schema that is newer is refused, with both versions', async () => {
  const url = `${server.url}?schema=newer`;
  await (await openEngine(url))[Symbol.asyncDispose]();
  await sql('update newer.meta set version = 99');
  const error = await failureOf(openEngine(url));
  expect(error?.code).toBe('invalid');
  expect(error?.message).toMatch(/version 99.*upgrade/);
});

test('[postgres] what cannot be opened says why: the URL, the server, the user, the right', async () => {
  const { port } = server;
  const wrong = [
    '?nothing=1',
    '?schema=',
    '?timeoutMs=1',
    '?poolMax=x',
    `?schema=${'x'.repeat(64)}`,
  ];
  for (const options of wrong) {
    expect((await failureOf(openEngine(`${server.url}${options}`)))?.code, options).toBe('invalid');
  }
  expect((await failureOf(openEngine('postgres:///db')))?.code).toBe('invalid');
  const closed = `postgres://waymark@127.0.0.1:1/postgres`;
  expect((await failureOf(openEngine(closed)))?.code).toBe('unavailable');
  const nobody = `postgres://nobody@127.0.0.1:${port}/postgres`;
  expect((await failureOf(openEngine(nobody)))?.code).toBe('unauthenticated');
  await sql('create role guest login');
  const guest = `postgres://guest@127.0.0.1:${port}/postgres?schema=guests`;
  expect((await failureOf(openEngine(guest)))?.code).toBe('denied');
  const missing = `postgres://waymark@127.0.0.1:${port}/missing`;
  expect((await failureOf(openEngine(missing)))?.code).toBe('invalid');
});

test('[K8] a schema that was made anew is superseded, for commits, reads and watches', async () => {
  const url = `${server.url}?schema=remade`;
  await using engine = await openEngine(url);
  const { revision } = await put(engine, 'k');
  const watch = engine.watch([{ key: 'k' }], { after: revision })[Symbol.asyncIterator]();
  const next = failureOf(watch.next());
  await sql(`update remade.meta set identity = 'another', revision = revision + 1`);
  expect((await failureOf(put(engine, 'k')))?.code).toBe('superseded');
  expect((await failureOf(engine.read({ key: 'k' })))?.code).toBe('superseded');
  expect((await failureOf(engine.read({ key: 'k', end: 'l' })))?.code).toBe('superseded');
  expect((await next)?.code).toBe('superseded');
});

test('[K3] in one group a check that a range is empty sees what the commits before it have left', async () => {
  await using engine = await openEngine(`${server.url}?schema=emptied`);
  const check = (): Promise<Outcome> =>
    engine.commit({ when: [{ key: 'r/', end: 'r0', target: 'version', is: '=', to: 0 }] });
  const remove = (key: string): Promise<Outcome> =>
    engine.commit({ apply: [{ type: 'delete', key }] });
  for (const key of ['r/a', 'r/b', 'r/z']) await put(engine, key);
  const [, one, , two] = await Promise.all([remove('r/a'), check(), remove('r/b'), check()]);
  expect([one.succeeded, two.succeeded]).toEqual([false, false]);
  const [, none] = await Promise.all([remove('r/z'), check()]);
  expect(none.succeeded).toBe(true);
});

test('[K4] what one commit of a group is refused for disturbs none of the others', async () => {
  await using engine = await openEngine(`${server.url}?schema=refused`);
  const calls = Array.from({ length: 12 }, (_, n) =>
    n % 3 === 0
      ? engine.commit({ apply: [{ type: 'put', key: `k${n}`, value: '', lease: 4_711 }] })
      : n % 3 === 1
        ? engine.commit({ apply: [{ type: 'put', key: `k${n}`, value: '', keepValue: true }] })
        : put(engine, `k${n}`),
  );
  const failures = await Promise.all(calls.map(failureOf));
  expect(failures.map((failure) => failure?.code)).toEqual(
    calls.map((_, n) => (n % 3 === 2 ? undefined : 'not_found')),
  );
  expect((await engine.read({ key: 'k', end: 'l' })).count).toBe(4);
});

test(
  '[K11] with connections cut at any moment, what is answered is there, and what is unavailable is not',
  { timeout: 600_000 },
  async () => {
    const seed = chooseSeed(file);
    const random = new SeededRandom(seed);
    await using proxy = await FaultProxy.open(server.url.replace('postgres://', 'http://'));
    const { port } = new URL(proxy.url);
    const options = '?schema=cut&timeoutMs=1000';
    await using direct = await openEngine(`${server.url}${options}`);
    await using engine = await openEngine(
      `postgres://waymark@127.0.0.1:${port}/postgres${options}`,
    );
    const fates = { answered: 0, unavailable: 0, uncertain: 0 };
    for (let n = 0; n < sized(150, 2_000); n++) {
      if (random.next() < 0.7) proxy.cutAfterBytes = random.below(1_500);
      else if (random.next() < 0.1) proxy.replyDrop = true;
      const keys = Array.from({ length: 3 }, (_, m) => `k${n}-${m}`);
      const failures = await Promise.all(keys.map((key) => failureOf(put(engine, key))));
      proxy.heal();
      for (const [m, failure] of failures.entries()) {
        const there = (await direct.read({ key: keys[m] as string })).count === 1;
        const { code } = failure ?? { code: 'answered' };
        if (code !== 'uncertain') expect(there, `${code}, seed ${seed}`).toBe(code === 'answered');
        expect(Object.keys(fates), `seed ${seed}`).toContain(code);
        fates[code as keyof typeof fates]++;
      }
    }
    console.log(fates);
    for (const [fate, count] of Object.entries(fates)) expect(count, fate).toBeGreaterThan(0);
  },
);

test('[K11] a client that went silent with the row of revisions locked holds up the others for its deadline, not longer', async () => {
  const timeoutMs = 500;
  const options = `?schema=silent&timeoutMs=${timeoutMs}`;
  await using proxy = await FaultProxy.open(server.url.replace('postgres://', 'http://'));
  const { port } = new URL(proxy.url);
  await using other = await openEngine(`${server.url}?schema=silent`);
  await using engine = await openEngine(`postgres://waymark@127.0.0.1:${port}/postgres${options}`);
  await put(engine, 'k');
  // Its load is answered to nobody: the lock is held, and no COMMIT comes.
  proxy.replyDrop = true;
  const when = [{ key: 'k', target: 'version', is: '>', to: 0 }] as const;
  const lost = failureOf(engine.commit({ when, apply: [{ type: 'put', key: 'k', value: '' }] }));
  while (
    (await sql(`select 1 from pg_stat_activity where state = 'idle in transaction'`)).length < 1
  );
  const since = performance.now();
  await put(other, 'k');
  expect(performance.now() - since).toBeLessThan(timeoutMs + 2_000);
  const { code, message } = (await lost) as WaymarkError;
  expect([code, message]).toEqual(['unavailable', `PostgreSQL: no answer within ${timeoutMs} ms`]);
  proxy.heal();
});

test('[K8] a watch goes on when its connection for notifications is ended again and again', async () => {
  const url = `${server.url}?schema=deaf`;
  await using engine = await openEngine(url);
  await using other = await openEngine(url);
  const watch = engine.watch([{ key: 'k' }], { after: 0 })[Symbol.asyncIterator]();
  for (let n = 0; n < 6; n++) {
    await sql(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'`);
    await put(other, 'k', String(n));
    let value: string | undefined;
    while (value === undefined) {
      const batch = (await watch.next()).value as Awaited<ReturnType<typeof watch.next>>['value'];
      value = batch.changes[0]?.entry.value;
    }
    expect(value).toBe(String(n));
  }
  await watch.return?.();
});

test('[K9] history beyond both bounds is dropped by itself; who is behind it is told so', async () => {
  const url = `${server.url}?schema=retained&historyRevisions=100&historyBytes=20000`;
  await using engine = await openEngine(url);
  const first = await put(engine, 'first');
  let last = first.revision;
  while ((await engine.status()).compacted < first.revision) {
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => put(engine, `k${n % 7}`, 'x'.repeat(100))),
    );
    ({ revision: last } = await put(engine, 'last'));
  }
  const { compacted } = await engine.status();
  expect(last - compacted).toBeGreaterThanOrEqual(100);
  const refused = await failureOf(engine.read({ key: 'first', at: compacted - 1 }));
  expect(refused?.facts.compacted).toBeGreaterThanOrEqual(compacted);
  const watch = engine.watch([{ key: 'first' }], { after: 0 })[Symbol.asyncIterator]();
  expect((await failureOf(watch.next()))?.code).toBe('compacted');
  expect(await countAtFloor(engine, 'first')).toBe(1);
  // What was compacted is gone a round later.
  const gone = 'select count(*) from retained.log where revision <= $1';
  while (Number((await sql(gone, [compacted]))[0]?.['count']) > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await countAtFloor(engine, 'first')).toBe(1);
});

test('[W6.1] history that one process needs is dropped by no other one, until it is needed no more', async () => {
  const url = `${server.url}?schema=needed&historyRevisions=10&historyBytes=1000&timeoutMs=60000`;
  // Rounds that are seconds apart come at once.
  const clock = { ...systemClock, now: () => systemClock.now() * 20 };
  let after: number | null = 1;
  const write = async (engine: Engine): Promise<void> => {
    await Promise.all(Array.from({ length: 50 }, (_, n) => put(engine, `k${n % 7}`, 'x')));
  };
  // The first one is who drops history.
  await using other = await openEngine(url, { clock });
  await write(other);
  await using knowing = await openEngine(url, { clock, history: { needed: () => after } });
  const needed = 'select needed from needed.meta';
  while ((await sql(needed))[0]?.['needed'] !== '1') await write(knowing);
  // As long as one that nobody needs anything of has dropped some, and more.
  await using beside = await openEngine(url.replace('schema=needed', 'schema=beside'), { clock });
  const floors = new Set<number>();
  while (floors.size < 4) {
    await Promise.all([write(other), write(beside)]);
    floors.add((await beside.status()).compacted);
  }
  expect((await other.status()).compacted).toBeLessThanOrEqual(1);
  after = null;
  while ((await sql(needed))[0]?.['needed'] !== null) await write(knowing);
  while ((await other.status()).compacted <= 1) await write(other);
});

/** As far back as can be read, wherever that moves meanwhile. */
async function countAtFloor(engine: Engine, key: string): Promise<number> {
  for (;;) {
    const { compacted } = await engine.status();
    try {
      return (await engine.read({ key, at: compacted })).count;
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }
}
