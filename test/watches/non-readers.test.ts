import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Engine, openRemoteEngine, prefixRange } from 'waymark/engine';
import { sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { StoppedClient } from './stopped-client.js';

const readers = 900;
const nonReaders = 100;
const connections = 10;
const groups = 90;
const writesPerSecond = 5_000;
const rounds = 7;
const roundSeconds = sized(3, 9);
const warmUpSeconds = 20;
const value = 'v'.repeat(1_024 - 16);
const growthMax = 64 * 1_048_576;
const tickMs = 5;

/**
 * Each write is seen by ten readers, fifty thousand deliveries a second. The non-readers watch all of it: half of them in this process,
 * asked for one batch and never again; half in a process that is stopped, so that its connections are never read. Rounds with and
 * without them take turns, so that what else the machine does meets both; memory is compared by its high-water marks, since a heap
 * goes up and down by more than what is looked for.
 */
test(`[K8] ${nonReaders} of 1000 watchers that never read cost no memory and no time`, async () => {
  await using server = await ServerProcess.start('memory');
  await using writer = await openRemoteEngine(server.url);
  const remotes = await Promise.all(
    Array.from({ length: connections }, () => openRemoteEngine(server.url)),
  );
  const latencies = new Latencies();
  const reading = Array.from({ length: readers }, (_, n) =>
    read(remotes[n % connections] as Engine, n % groups, latencies),
  );
  await Promise.all(reading.map(({ standing }) => standing));
  const memory = new HighWater(server.child.pid as number);
  // The first second is not measured: whoever begins to watch is sent what comes, until it shows that it does not read.
  const round = async (): Promise<Round> => {
    await load(writer, 1);
    latencies.take();
    await load(writer, roundSeconds);
    return { ...latencies.take(), ...memory.take() };
  };

  // Fills the history up to its bound and warms both sides up, so that what grows afterwards is the watches'.
  await load(writer, warmUpSeconds);
  const alone: Round[] = [];
  const beside: Round[] = [];
  latencies.take();
  for (let n = 0; n < rounds; n++) {
    alone.push(await round());
    const stopped = await StoppedClient.start(server.url, nonReaders / 2);
    const unread = await Promise.all(
      Array.from({ length: nonReaders / 2 }, (_, m) =>
        neverRead(remotes[m % connections] as Engine, m),
      ),
    );
    memory.take();
    beside.push(await round());
    for (const watch of unread) await watch.return?.();
    await stopped[Symbol.asyncDispose]();
  }
  memory.stop();

  const p99 = {
    alone: median(alone.map((one) => one.p99)),
    beside: median(beside.map((one) => one.p99)),
  };
  // Neighbours in time meet the same machine: each round is compared with the one before it.
  const ratio = median(beside.map((one, n) => one.p99 / Math.max(alone[n]?.p99 ?? 0, tickMs)));
  const growth = (side: 'server' | 'client'): number =>
    Math.max(...beside.map((one) => one[side])) - Math.max(...alone.map((one) => one[side]));
  const count = beside.reduce((sum, one) => sum + one.count, 0);
  console.log(
    `non-readers: p99 ${p99.beside.toFixed(1)} ms beside ${nonReaders} of them, ${p99.alone.toFixed(1)} ms alone, ${ratio.toFixed(2)} times round by round; ` +
      `${count} deliveries in ${rounds * roundSeconds} s; memory grew by ${mib(growth('server'))} MiB on the server, ` +
      `${mib(growth('client'))} MiB on the client`,
  );
  expect(count).toBeGreaterThanOrEqual(
    (writesPerSecond * rounds * roundSeconds * readers * 0.99) / groups,
  );
  expect(growth('server')).toBeLessThan(growthMax);
  expect(growth('client')).toBeLessThan(growthMax);
  expect(ratio).toBeLessThanOrEqual(2);
  for (const { end } of reading) end();
  await Promise.all(reading.map(({ done }) => done));
  for (const remote of remotes) await remote[Symbol.asyncDispose]();
});

/** A control: were the server to ignore that nobody reads, the figure above would show it. */
test('[K8] control: a server that sees no back-pressure grows by more than that', async () => {
  const blind = `import { Socket } from 'node:net';
    Object.defineProperty(Socket.prototype, 'writableLength', { get: () => 0 });`;
  const blinded = `--import=data:text/javascript,${encodeURIComponent(blind)}`;
  await using server = await ServerProcess.start('memory', { NODE_OPTIONS: blinded });
  await using writer = await openRemoteEngine(server.url);
  const before = residentBytes(server.child.pid as number);
  await using stopped = await StoppedClient.start(server.url, nonReaders / 5);
  await load(writer, 3);
  const growth = residentBytes(server.child.pid as number) - before;
  console.log(`control: the server grew by ${mib(growth)} MiB`);
  expect(stopped).toBeDefined();
  expect(growth).toBeGreaterThan(growthMax);
});

interface Round {
  readonly p99: number;
  readonly count: number;
  readonly server: number;
  readonly client: number;
}

/** The most memory that server and client were seen with since the last look. */
class HighWater {
  readonly #server: number;
  readonly #timer = setInterval(() => this.#sample(), 250);
  #most = { server: 0, client: 0 };

  constructor(serverPid: number) {
    this.#server = serverPid;
  }

  take(): { readonly server: number; readonly client: number } {
    this.#sample();
    const most = this.#most;
    this.#most = { server: 0, client: 0 };
    return most;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const { server, client } = this.#most;
    this.#most = {
      server: Math.max(server, residentBytes(this.#server)),
      client: Math.max(client, process.memoryUsage().rss),
    };
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Latencies in steps of 0.1 ms, counted and not kept. */
class Latencies {
  #counts = new Uint32Array(100_000);

  add(ms: number): void {
    const step = Math.min(this.#counts.length - 1, Math.max(0, Math.round(ms * 10)));
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
  }

  take(): { readonly p99: number; readonly count: number } {
    const counts = this.#counts;
    this.#counts = new Uint32Array(counts.length);
    const count = counts.reduce((sum, one) => sum + one, 0);
    let left = count * 0.99;
    const step = counts.findIndex((one) => (left -= one) <= 0);
    return { p99: step / 10, count };
  }
}

function read(
  engine: Engine,
  group: number,
  latencies: Latencies,
): { readonly standing: Promise<void>; readonly done: Promise<void>; readonly end: () => void } {
  const ended = new AbortController();
  let stands = (): void => undefined;
  const standing = new Promise<void>((resolve) => (stands = resolve));
  const run = async (): Promise<void> => {
    const { signal } = ended;
    try {
      for await (const { changes } of engine.watch([prefixRange(`w/${group}/`)], { signal })) {
        stands();
        const now = performance.now();
        for (const { entry } of changes) latencies.add(now - Number(entry.value.slice(0, 16)));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
  return { standing, done: run(), end: () => ended.abort() };
}

/** Its range is its own, so that it shares no stream with others. */
async function neverRead(engine: Engine, n: number): Promise<AsyncIterator<unknown>> {
  const watch = engine.watch([{ key: 'w/', end: `w0${n}` }])[Symbol.asyncIterator]();
  await watch.next();
  return watch;
}

/** Open loop: each write carries the time at which it was due, so that waiting counts. */
async function load(engine: Engine, forSeconds: number): Promise<void> {
  const start = performance.now();
  const total = writesPerSecond * forSeconds;
  let sent = 0;
  let answered = 0;
  await new Promise<void>((resolve, reject) => {
    const timer = setInterval(() => {
      const due = Math.min(
        total,
        Math.floor(((performance.now() - start) * writesPerSecond) / 1_000),
      );
      for (; sent < due; sent++) {
        const dueMs = (start + (sent * 1_000) / writesPerSecond).toFixed(3).padStart(16, '0');
        const key = `w/${sent % groups}/k${sent % 1_009}`;
        engine.commit({ apply: [{ type: 'put', key, value: dueMs + value }] }).then(() => {
          if (++answered === total) resolve();
        }, reject);
      }
      if (sent === total) clearInterval(timer);
    }, tickMs);
  });
}

function residentBytes(pid: number): number {
  const [, kilobytes] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1_024;
}

function mib(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}
