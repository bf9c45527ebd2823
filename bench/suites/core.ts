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

/** Some 15 s after a burst V8 shrinks the heap, a quarter of a millisecond at a time for a second: the probes begin after it. */
const settleSeconds = 20;
/** Long enough that a p99 is more than the one full collection which a run may meet: 12 800 puts are counted. */
const probeSeconds = 16;

async function leases(stage: Stage): Promise<void> {
  const side = (name: string, count: number): Side => {
    const put = { client: 'waymarkEngine', op: 'put', perSecond: 1_000, value: 'p99' };
    const hold = { client: 'waymarkEngine', leases: count };
    const ready = async (): Promise<string> => {
      const { address } = await stage.server(`${count} leases`, () => startWaymark());
      await stage.worker(`holder of ${count}`).run('holdLeases', { ...hold, address });
      await stage.worker(`probe of ${count}`).run('openLoop', {
        ...put,
        address,
        seconds: settleSeconds,
      });
      return address;
    };
    let settled: Promise<string> | undefined;
    const run = async (): Promise<Sample> => {
      const address = await (settled ??= ready());
      const probe = stage.worker(`probe of ${count}`);
      const sample = await probe.run<Sample>('openLoop', {
        ...put,
        address,
        seconds: probeSeconds,
      });
      const holder = stage.worker(`holder of ${count}`);
      const { value: live } = await holder.run<Sample>('holdLeases', { ...hold, address });
      return { ...sample, note: `${live} leases live` };
    };
    return { name, run };
  };
  for (const [count, name] of [
    [100_000, '100 000'],
    [1_000_000, '1 000 000'],
  ] as const) {
    const line = `p99 of a put beside ${name} live leases`;
    await stage.line(
      line,
      'ms, over the wire, 1 000/s open loop',
      async () => [side('waymark', count), side('none', 0)],
      none,
      false,
    );
    await stage.clear();
  }
  const heap = 'B, heap after gc, engine in process';
  const ours = inHeap(stage, 'heapPerLease', { leases: 1_000_000 });
  await stage.line('bytes per live lease', heap, async () => [ours], none, false);
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
  const heap = 'B, engine in process';
  const ours = inHeap(stage, 'heapPerKey', { keys: memoryKeys });
  await stage.line('memory per key, heap after gc', heap, async () => [ours], none, false);
}

function inHeap(stage: Stage, workload: string, params: object): Side {
  const run = (): Promise<Sample> => stage.worker('heap', ['--expose-gc']).run(workload, params);
  return { name: 'waymark', run };
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
