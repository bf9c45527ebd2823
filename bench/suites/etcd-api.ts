import type { Side } from '../harness/duel.js';
import { connectEtcdGrpc } from '../clients/etcd-grpc.js';
import { h2loadPut } from '../harness/h2load.js';
import { residentBytes, type Running } from '../harness/processes.js';
import { startEtcd, startWaymark } from '../servers/index.js';
import type { Stage } from './stage.js';
import { crowd } from './watch.js';

/** etcd's API, served by Waymark and by etcd itself: on the wire, and through the client that Node has. */
export async function etcdApiSuite(stage: Stage): Promise<void> {
  const memory = (): Promise<Running> => stage.server('waymark', () => startWaymark());
  const etcd = (): Promise<Running> => stage.server('etcd', startEtcd);
  for (const engine of ['memory', 'file'] as const) {
    const waymark = (): Promise<Running> =>
      stage.server(`waymark ${engine}`, () => startWaymark({ engine }));
    for (const streams of [1, 16, 128]) {
      const call = { streams, seconds: 2 };
      const side = (name: string, server: Running): Side => ({
        name,
        run: () => h2loadPut(server, call),
      });
      await stage.line(
        `etcd API: put, ${streams === 1 ? '1 stream' : `${streams} streams`}, ${engine}`,
        'requests/s, h2load, one connection',
        async () => [side('waymark', await waymark())],
        async () => [side('etcd', await etcd())],
      );
    }
    await stage.clear();
  }
  for (const op of ['put', 'get', 'cas', 'grant'] as const) {
    const params = { op, inFlight: 128, seconds: 2 };
    await stage.line(
      `etcd API: ${op} through grpc-js, 128 in flight`,
      'operations/s',
      async () => [stage.side('waymark', 'etcdGrpc', (await memory()).address, 'load', params)],
      async () => [stage.side('etcd', 'etcdGrpc', (await etcd()).address, 'load', params)],
    );
  }
  for (const watchers of [1, 100, 1_000]) {
    const call = {
      client: 'etcdGrpc',
      connections: Math.min(watchers, 10),
      watchers,
      events: 200_000 / Math.max(watchers, 100),
      measure: 'delivered',
    } as const;
    await stage.line(
      `etcd API: delivered to ${watchers} watchers`,
      'notifications/s through grpc-js, every one in order',
      async () => [await crowd(stage, { name: 'waymark', server: await memory(), ...call })],
      async () => [await crowd(stage, { name: 'etcd', server: await etcd(), ...call })],
    );
  }
  await stage.clear();
  await stage.line(
    'etcd API: start to first put',
    'ms, spawn to the first put answered',
    async () => [started('waymark', () => startWaymark())],
    async () => [started('etcd', startEtcd)],
  );
}

function started(name: string, start: () => Promise<Running>): Side {
  return {
    name,
    run: async () => {
      const begin = performance.now();
      const server = await start();
      try {
        const client = await connectEtcdGrpc(server.address);
        await client.put?.('/bench/first', 'put');
        const value = performance.now() - begin;
        await client.close();
        const mib = Math.round((await residentBytes(server.pid)) / 1_048_576);
        return { value, note: `${mib} MiB resident` };
      } finally {
        await server.stop();
      }
    },
  };
}
