import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '@waymark/server';
import { isWaymarkError, type Namespace, open, type Space } from 'waymark';
import { systemRandom } from 'waymark/engine';
import { ServerProcess } from '../faults/server-process.js';
import { Command, waymark } from '../support/command.js';
import { freePort } from '../support/free-port.js';
import { startEtcd } from '../support/etcd.js';
import { startPostgres } from '../support/postgres.js';

interface Elsewhere {
  /** Another place in it each time. */
  url(): string;
  stop(): Promise<void>;
}

/** Engines that several servers share. */
const engines: readonly (readonly [string, () => Promise<Elsewhere>])[] = [
  ['etcd', onEtcd],
  ['PostgreSQL', onPostgres],
];

async function onEtcd(): Promise<Elsewhere> {
  const { address, stop } = await startEtcd();
  let roots = 0;
  return { url: () => `etcd://${address}/fail-over-${roots++}`, stop };
}

async function onPostgres(): Promise<Elsewhere> {
  const { url, stop } = await startPostgres();
  let schemas = 0;
  return { url: () => `${url}?schema=fail_over_${schemas++}`, stop };
}

/** Begins with the first of its servers. */
const first = { ...systemRandom, next: () => 0 };

interface Load {
  /** What was answered. */
  readonly written: number[];
  readonly failures: unknown[];
  /** Resolves after so many more answers. */
  more(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Writers that go on whatever happens, each value once. */
function load(ns: Namespace, writers: number): Load {
  const written: number[] = [];
  const failures: unknown[] = [];
  const waiting = new Set<{ readonly at: number; resolve(): void }>();
  let going = true;
  let next = 0;
  const work = async (writer: number): Promise<void> => {
    while (going) {
      const value = next++;
      try {
        await ns.put(`/load/${writer}`, value);
        written.push(value);
      } catch (error) {
        failures.push(error);
      }
      for (const wait of waiting) if (written.length >= wait.at) wait.resolve();
    }
  };
  const running = Promise.all(Array.from({ length: writers }, async (_, n) => await work(n)));
  return {
    written,
    failures,
    more: async (count) =>
      await new Promise<void>((resolve) => waiting.add({ at: written.length + count, resolve })),
    stop: async () => {
      going = false;
      await running;
    },
  };
}

/** Everything a watch of the load tells, until it has told the last value of each writer. */
async function follow(ns: Namespace, seen: number[], until: Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  const watching = (async () => {
    for await (const event of ns.watch('/load', { tree: true, signal: stop.signal })) {
      if (event.kind === 'put') seen.push(event.value as number);
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  await until;
  stop.abort();
  await watching;
}

/** What a client goes through when its server is taken away by `away`. */
async function moves(urls: readonly string[], away: () => Promise<void>) {
  await using space = await open(urls.join(','), { owner: 'mover', random: first });
  await using other = await open(urls[1] as string, { owner: 'witness' });
  const ns = space.namespace('n');
  await using lock = await ns.lock('/lock', { ttlMs: 10_000 });
  await using term = await ns.election('/leader').campaign({ ttlMs: 10_000 });
  const session = await space.lease(10_000);
  await ns.put('/session', 1, { lease: session });
  const waiting = other.namespace('n').lock('/lock', { waitMs: 30_000 });
  const seen: number[] = [];
  let told = (): void => {};
  const complete = new Promise<void>((resolve) => (told = resolve));
  const following = follow(ns, seen, complete);
  const working = load(ns, 16);
  await working.more(200);
  await away();
  await working.more(500);
  await working.stop();
  expect(lock.signal.aborted).toBe(false);
  expect(lock.isHeld()).toBe(true);
  expect((await holder(other))?.token).toBe(lock.token);
  expect(term.signal.aborted || session.signal.aborted).toBe(false);
  expect((await other.namespace('n').election('/leader').leader())?.term).toBe(term.token);
  expect(await other.namespace('n').get('/session')).not.toBeNull();
  await ns.put('/load/fenced', -1, { hold: lock });
  for (;;) {
    if (seen.includes(-1)) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  told();
  await following;
  await lock.release();
  await (await waiting).release();
  return { working, seen };
}

async function holder(space: Space): Promise<{ readonly token?: number | undefined } | undefined> {
  return (await space.namespace('n').explain('/lock')).holders[0];
}

describe.each(engines)('servers on one %s', (_, start) => {
  let engine: Elsewhere;

  beforeAll(async () => {
    engine = await start();
  });

  afterAll(async () => {
    await engine.stop();
  });

  test('a client whose server is killed under load goes on at another: its lock stands, its watch misses nothing', async () => {
    const url = engine.url();
    await using a = await ServerProcess.start(url);
    await using b = await ServerProcess.start(url);
    const { working, seen } = await moves([a.url, b.url], async () => {
      a.child.kill('SIGKILL');
      await new Promise((resolve) => a.child.once('exit', resolve));
    });
    for (const failure of working.failures) {
      expect(isWaymarkError(failure, 'uncertain'), String(failure)).toBe(true);
    }
    expect(working.failures.length).toBeLessThanOrEqual(16);
    const told = new Set(seen);
    expect(told.size, 'nothing is told twice').toBe(seen.length);
    expect(working.written.filter((value) => !told.has(value))).toEqual([]);
  });

  test('a client whose server is drained under load loses no call', async () => {
    const url = engine.url();
    const start = async () =>
      await startServer({ engine: url, listen: ['127.0.0.1:0'], logLevel: 'silent' });
    const a = await start();
    const b = await start();
    try {
      const urls = [a, b].map(({ addresses }) => `http://${addresses[0]}`);
      const { working, seen } = await moves(urls, async () => await a.close());
      expect(working.failures).toEqual([]);
      expect(new Set(seen).size).toBe(seen.length);
    } finally {
      await a.close();
      await b.close();
    }
  });
});

test('a command goes to the server that is there', async () => {
  await using there = await ServerProcess.start('memory');
  const nobody = `http://127.0.0.1:${await freePort()}`;
  const folder = await mkdtemp(join(tmpdir(), 'waymark-fail-over-'));
  try {
    for (const [n, server] of [`${nobody},${there.url}`, `${there.url},${nobody}`].entries()) {
      for (const args of [
        ['put', '/a', '1'],
        ['backup', join(folder, String(n))],
      ]) {
        const env = { WAYMARK_SERVER: server };
        const { code, err } = await new Command(process.execPath, [waymark, ...args], { env }).done;
        expect([code, err]).toEqual([0, '']);
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the first connection passes over servers that are not there, and one that stays silent', async () => {
  const server = await startServer({
    engine: 'memory',
    listen: ['127.0.0.1:0'],
    logLevel: 'silent',
  });
  await using silent = await ServerProcess.start('memory');
  silent.child.kill('SIGSTOP');
  try {
    const nobody = `127.0.0.1:${await freePort()}`;
    const url = `http://${nobody},${silent.url.slice('http://'.length)},${server.addresses[0]}`;
    await using space = await open(url, { random: first });
    await space.namespace('n').put('/a', 1);
  } finally {
    await server.close();
  }
});
