import type { ClientName } from '../clients/index.js';
import type { Side } from '../harness/duel.js';
import type { Running } from '../harness/processes.js';
import type { Sample } from '../harness/samples.js';
import { startEtcd, startNats, startRedis, startWaymark } from '../servers/index.js';
import { none, type Stage } from './stage.js';

interface Crowd {
  readonly name: string;
  readonly client: ClientName;
  readonly server: Running;
  readonly connections: number;
  readonly watchers: number;
  readonly events: number;
  readonly perSecond?: number;
  /**
   * Events of the first run, which does not count, one in flight. A writer that is paced writes too seldom for code to be
   * compiled: without, it is Node's interpreter that is measured, on three processes here and on two beside Redis.
   */
  readonly warmEvents?: number;
  readonly measure: 'delivered' | 'latency';
}

/** Watchers: how many notifications a second, how soon, and what those elsewhere cost. */
export async function watchSuite(stage: Stage): Promise<void> {
  const waymark = await stage.server('waymark', () => startWaymark());
  const redis = () => stage.server('redis', () => startRedis());
  const etcd = () => stage.server('etcd', startEtcd);
  if (stage.call.long) return longWatch(stage, waymark, await etcd());

  const many = { connections: 10, watchers: 1_000, measure: 'delivered' } as const;
  await stage.line(
    'delivered to 1 000 watchers',
    'notifications/s, 10 connections, every one in order',
    async () => [
      await crowd(stage, {
        name: 'waymark',
        client: 'waymark',
        server: waymark,
        ...many,
        events: 2_000,
      }),
    ],
    async () => [
      await crowd(stage, {
        name: 'Redis pub/sub',
        client: 'ioredis',
        server: await redis(),
        ...many,
        events: 2_000,
      }),
      await crowd(stage, {
        name: 'NATS core',
        client: 'nats',
        server: await stage.server('nats', startNats),
        ...many,
        events: 600,
      }),
      await crowd(stage, {
        name: 'etcd3 watch',
        client: 'etcd3',
        server: await etcd(),
        ...many,
        events: 100,
      }),
    ],
  );
  const paced = [
    {
      line: 'put → notified p50, 1 watcher',
      connections: 1,
      watchers: 1,
      events: 400,
      perSecond: 200,
      warmEvents: 10_000,
    },
    {
      line: 'put → notified p50, 1 000 watchers',
      connections: 10,
      watchers: 1_000,
      events: 60,
      perSecond: 30,
      warmEvents: 500,
    },
  ];
  for (const { line, ...rest } of paced) {
    const call = { ...rest, measure: 'latency' } as const;
    await stage.line(
      line,
      `ms, ${rest.perSecond}/s open loop`,
      async () => [
        await crowd(stage, { name: 'waymark', client: 'waymark', server: waymark, ...call }),
      ],
      async () => [
        await crowd(stage, {
          name: 'Redis pub/sub',
          client: 'ioredis',
          server: await redis(),
          ...call,
        }),
        await crowd(stage, { name: 'etcd3 watch', client: 'etcd3', server: await etcd(), ...call }),
      ],
    );
  }
  await stage.clear();
  await stage.line(
    'write beside 100 000 watchers',
    'µs a put, engine in process',
    async () => [beside(stage, '100 000 elsewhere', 100_000), beside(stage, 'no watchers', 0)],
    none,
  );
}

function beside(stage: Stage, name: string, watchers: number): Side {
  const worker = stage.worker(name);
  return {
    name,
    run: async () => {
      const sample = await worker.run<Sample>('putBesideWatchers', { watchers, seconds: 1 });
      return { value: 1e6 / sample.value };
    },
  };
}

let topics = 0;

/** Subscribers in one worker, the writer in another, the server in a third process. */
export async function crowd(stage: Stage, call: Crowd): Promise<Side> {
  const { name, client, server, connections, watchers, measure } = call;
  const topic = `/news/topic-${topics++}`;
  const common = { client, address: server.address, topic };
  const subscriber = stage.worker(`subscriber ${topic}`);
  const writer = stage.worker(`writer ${client}`);
  await subscriber.run('subscribe', { ...common, connections, watchers });
  const judged = { events: call.events, perSecond: call.perSecond, inFlight: 64 };
  const { warmEvents } = call;
  let next =
    warmEvents === undefined ? judged : { events: warmEvents, perSecond: undefined, inFlight: 1 };
  return {
    name,
    run: async () => {
      const { events, perSecond, inFlight } = next;
      next = judged;
      const collected = subscriber.run<Sample>('collect', { topic, measure, events });
      const published = writer.run('publish', { ...common, events, perSecond, inFlight });
      await Promise.all([published, collected]);
      return collected;
    },
  };
}

interface LongSample extends Sample {
  /** p50 of the first and the last 10 s, ms. */
  readonly first: number;
  readonly last: number;
}

/** 60 s at half of the peak of each, and the last 10 s against the first: nothing may be put off. */
async function longWatch(stage: Stage, waymark: Running, etcd: Running): Promise<void> {
  const ours: LongSample[] = [];
  const side = (name: string, client: ClientName, { address }: Running): Side => {
    const worker = stage.worker(`long ${client}`);
    const run = async (): Promise<LongSample> => {
      const sample = await worker.run<LongSample>('long', { client, address, seconds: 60 });
      if (client === 'waymark') ours.push(sample);
      return sample;
    };
    return { name, run };
  };
  await stage.line(
    'put → notified, 60 s at half of peak',
    'ms, p50',
    async () => [side('waymark', 'waymark', waymark)],
    async () => [side('etcd3 watch', 'etcd3', etcd)],
    false,
  );
  // Its runs are those of the line before, which `--only` may leave out.
  if (ours.length === 0) return;
  const each = (name: string, of: (sample: LongSample) => number): Side => {
    const told = ours.values();
    return { name, run: async () => ({ value: of(told.next().value as LongSample) }) };
  };
  await stage.line(
    'notified in the last 10 s of 60',
    'ms, p50, of the same runs',
    async () => [each('last 10 s', ({ last }) => last), each('first 10 s', ({ first }) => first)],
    none,
    false,
  );
}
