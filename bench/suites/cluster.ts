import type { Side } from '../harness/duel.js';
import { cpuMs, type Running } from '../harness/processes.js';
import { startEtcd, startPostgres, startWaymark } from '../servers/index.js';
import { none, type Stage } from './stage.js';

/** Engines that are elsewhere: what one process writes through them, and what watchers cost them. */
export async function clusterSuite(stage: Stage): Promise<void> {
  await throughEtcd(stage, 'etcd', startEtcd, ['engine', 'namespace']);
  await throughEtcd(stage, 'etcd in memory', () => startEtcd({ memory: true }), ['engine']);
  await throughEtcd(stage, 'etcd 3.5', () => startEtcd({ version: '3.5' }), ['engine']);
  await postgres(stage);
  await stage.clear();
  await stage.line(
    'CPU of etcd under 1 000 watchers of one server',
    'ms for 5 000 puts at 1 000/s, of which 100 are watched',
    async () => [
      await watched(stage, { name: '1 000 watchers', watchers: 1_000, connections: 10 }),
      await watched(stage, { name: 'one watcher', watchers: 1, connections: 1 }),
    ],
    none,
  );
}

const clients = {
  engine: ['put through the etcd engine, 128 in flight', 'waymarkEngine'],
  namespace: ['put through a namespace on etcd, 128 in flight', 'waymark'],
} as const;

async function throughEtcd(
  stage: Stage,
  name: string,
  begin: () => Promise<Running>,
  layers: readonly (keyof typeof clients)[],
): Promise<void> {
  const etcd = await stage.server(name, begin);
  const params = { op: 'put', inFlight: 128, seconds: 2 };
  for (const [line, client] of layers.map((layer) => clients[layer])) {
    await stage.line(
      name === 'etcd' ? line : `${line}, ${name}`,
      'operations/s, one etcd',
      async () => [stage.side('waymark', client, `etcd://${etcd.address}/bench`, 'load', params)],
      async () => [
        stage.side('plain grpc-js', 'etcdPlain', etcd.address, 'load', params),
        stage.side('etcd3', 'etcd3', etcd.address, 'load', params),
      ],
    );
  }
  await stage.clear();
}

async function postgres(stage: Stage): Promise<void> {
  const { address } = await stage.server('postgres', startPostgres);
  const url = `postgres://bench@${address}/postgres?schema=bench`;
  const params = { op: 'put', inFlight: 128, seconds: 2 };
  await stage.line(
    'put through the PostgreSQL engine, 128 in flight',
    'operations/s, one server, flushed',
    async () => [stage.side('waymark', 'waymarkEngine', url, 'load', params)],
    async () => [stage.side('pg pool', 'postgresPool', address, 'load', params)],
  );
}

interface Crowd {
  readonly name: string;
  readonly watchers: number;
  readonly connections: number;
}

const seconds = 5;
const events = 100;

/** An etcd and a server of its own. Beside what is watched another process writes, so that both sides cost etcd the same but for the watchers. */
async function watched(stage: Stage, { name, ...crowd }: Crowd): Promise<Side> {
  const etcd = await stage.server(`etcd of ${name}`, startEtcd);
  const engine = `etcd://${etcd.address}/bench`;
  const { address } = await stage.server(`server of ${name}`, () => startWaymark({ engine }));
  const topic = '/news/topic';
  const common = { client: 'waymark', address, topic };
  const subscriber = stage.worker(`subscriber of ${name}`);
  const writer = stage.worker(`writer of ${name}`);
  const beside = stage.worker(`writer beside ${name}`);
  await subscriber.run('subscribe', { ...common, ...crowd });
  const puts = { client: 'waymarkEngine', address: engine, op: 'put', perSecond: 1_000, seconds };
  const news = { ...common, events, perSecond: events / seconds };
  return {
    name,
    run: async () => {
      const before = await cpuMs(etcd.pid);
      const collected = subscriber.run('collect', { topic, measure: 'delivered', events });
      await Promise.all([beside.run('openLoop', puts), writer.run('publish', news), collected]);
      const value = (await cpuMs(etcd.pid)) - before;
      const streams = await watchStreams(etcd.address);
      if (streams !== 1) throw new Error(`${streams} watch streams to etcd, not one`);
      return { value, note: 'one watch stream to etcd' };
    },
  };
}

/** As etcd counts them. */
async function watchStreams(address: string): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watch_stream_total (\S+)/m.exec(text)?.[1]);
}
