import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Side } from '../harness/duel.js';
import { residentBytes, type Running } from '../harness/processes.js';
import type { Sample } from '../harness/samples.js';
import { startRedis, startWaymark } from '../servers/index.js';
import { none, type Stage } from './stage.js';

/** What runs without a wire: the engine in process, memory, leases, starts. */
export async function coreSuite(stage: Stage): Promise<void> {
  for (const [op, line, bare] of [
    ['put', 'in-process commit', 'Map.set'],
    ['get', 'in-process read', 'Map.get'],
  ] as const) {
    const side = (name: string, workload: string): Side => ({
      name,
      run: () => stage.worker(workload).run<Sample>(workload, { op, seconds: 1 }),
    });
    await stage.line(
      line,
      'operations/s, awaited one by one; keys made anew',
      async () => [side('waymark', 'memoryEngine'), side(bare, 'bareMap')],
      none,
    );
  }
  await stage.clear();
  await starts(stage);
  await leases(stage);
  await memory(stage);
}

async function starts(stage: Stage): Promise<void> {
  const script = fileURLToPath(new URL('../start-library.js', import.meta.url));
  await stage.line(
    'start to first answer: library',
    'ms, import, open, put, get',
    async () => [
      {
        name: 'waymark',
        run: async () => ({ value: Number(await output([script])) }),
      },
    ],
    none,
  );
  await stage.line(
    'start to first answer: server',
    'ms, spawn to the first put answered',
    async () => [
      {
        name: 'waymark',
        run: async () => {
          const begin = performance.now();
          const server = await startWaymark();
          await fetch(`${server.address}/healthz`);
          const value = performance.now() - begin;
          await server.stop();
          return { value };
        },
      },
    ],
    none,
  );
}

function output(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.on('exit', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`${args[0]} ended with ${code}`)),
    );
  });
}

async function leases(stage: Stage): Promise<void> {
  const bytes: number[] = [];
  const side = (name: string, count: number): Side => ({
    name,
    run: async () => {
      const worker = stage.worker(`${count} leases`, ['--expose-gc']);
      const call = { leases: count };
      const sample = await worker.run<Sample & { bytesEach: number; lost: number }>(
        'besideLeases',
        call,
      );
      if (sample.lost > 0) throw new Error(`${sample.lost} leases lost`);
      if (count > 0) bytes.push(sample.bytesEach);
      return sample;
    },
  });
  for (const [count, name] of [
    [100_000, '100 000'],
    [1_000_000, '1 000 000'],
  ] as const) {
    const line = `p99 of a put beside ${name} live leases`;
    await stage.line(
      line,
      'ms, 1 000/s open loop',
      async () => [side('waymark', count), side('none', 0)],
      none,
    );
  }
  await stage.clear();
  if (bytes.length === 0) return;
  const run = async (): Promise<Sample> => ({ value: bytes.at(-1) ?? 0 });
  await stage.line(
    'bytes per live lease',
    'B, heap after gc',
    async () => [{ name: 'waymark', run }],
    none,
    false,
  );
}

const memoryKeys = 1_000_000;

async function memory(stage: Stage): Promise<void> {
  await stage.line(
    'memory per key',
    `B, growth of the server's resident memory by ${memoryKeys} keys (path 40 B, value 100 B)`,
    async () => [filled('waymark', 'waymark', () => startWaymark(), stage)],
    async () => [filled('redis', 'ioredis', () => startRedis(), stage)],
    false,
  );
  await stage.line(
    'memory per key, heap after gc',
    'B, engine in process',
    async () => [
      {
        name: 'waymark',
        run: () =>
          stage.worker('heap', ['--expose-gc']).run<Sample>('heapPerKey', { keys: memoryKeys }),
      },
    ],
    none,
    false,
  );
}

function filled(
  name: string,
  client: 'waymark' | 'ioredis',
  begin: () => Promise<Running>,
  stage: Stage,
): Side {
  let measured: Promise<Sample> | undefined;
  const measure = async (): Promise<Sample> => {
    const server = await begin();
    const worker = stage.worker(`fill ${name}`);
    await worker.run('fill', { client, address: server.address, keys: 1_000 });
    const before = await residentBytes(server.pid);
    await worker.run('fill', {
      client,
      address: server.address,
      from: 1_000,
      keys: memoryKeys + 1_000,
    });
    const value = ((await residentBytes(server.pid)) - before) / memoryKeys;
    await server.stop();
    return { value };
  };
  // Once is enough: it varies by a few per cent, and a fill takes ten seconds.
  return { name, run: () => (measured ??= measure()) };
}
