import { scatteredTo, type Whom } from '../clients/client.js';
import type { ClientName } from '../clients/index.js';
import type { Side } from '../harness/duel.js';
import type { Sample } from '../harness/samples.js';
import { startEcho, startNats, startRedis, startWaymark } from '../servers/index.js';
import type { Stage } from './stage.js';

interface Asking {
  readonly whom: Whom;
  readonly seconds: number;
  readonly inFlight?: number;
  readonly perSecond?: number;
}

/**
 * Messages, question and answer, through a server: who asks and who answers are two more processes. So a question takes two hops to its
 * handler and its answer two back, where the raw echo takes one each.
 */
export async function messagingSuite(stage: Stage): Promise<void> {
  const waymark = await stage.server('waymark', () => startWaymark());
  const echo = await stage.server('echo', startEcho);
  const answering = new Map<string, Promise<void>>();
  const nats = () => stage.server('nats', startNats);
  const redis = () => stage.server('redis', () => startRedis());
  const side = (name: string, client: ClientName, server: { address: string }, asking: Asking) =>
    asked(stage, answering, { name, client, address: server.address }, asking);
  const line = (name: string, unit: string, asking: Asking): Promise<void> =>
    stage.line(
      name,
      unit,
      async () => [
        await side('waymark', 'waymark', waymark, asking),
        await side('raw TCP echo', 'echo', echo, asking),
      ],
      async () => [
        await side('NATS request', 'nats', await nats(), asking),
        await side('Redis pub/sub', 'ioredis', await redis(), asking),
      ],
    );

  const alone = { perSecond: 1_000, seconds: 2 };
  const ms = 'ms, question → answer, 1 000/s open loop';
  await line('send to the leader p50', ms, { whom: 'leader', ...alone });
  await line('send to a member p50', ms, { whom: 'member', ...alone });
  for (const inFlight of [16, 128]) {
    const crowd = { whom: 'leader', inFlight, seconds: 2 } as const;
    await line(`send to the leader, ${inFlight} in flight`, 'answers/s', crowd);
  }

  const all = { whom: 'all', perSecond: 100, seconds: 2 } as const;
  await stage.line(
    `broadcast to ${scatteredTo} members p50`,
    'ms, question → the last answer, 100/s open loop, members on 10 connections',
    async () => [await side('waymark', 'waymark', waymark, all)],
    async () => [await side('NATS scatter-gather', 'nats', await nats(), all)],
  );
}

interface Server {
  readonly name: string;
  readonly client: ClientName;
  readonly address: string;
}

/** Who asks is one worker, who answers another: begun once for each subject. */
async function asked(
  stage: Stage,
  answering: Map<string, Promise<void>>,
  { name, client, address }: Server,
  asking: Asking,
): Promise<Side> {
  const crowd =
    asking.whom === 'all'
      ? { subject: '/all', connections: 10, responders: scatteredTo }
      : { subject: '/one', connections: 1, responders: 1 };
  const { subject } = crowd;
  const responder = `responder ${client} ${subject}`;
  if (!answering.has(responder)) {
    const call = { client, address, ...crowd };
    answering.set(responder, stage.worker(responder).run<void>('respond', call));
  }
  await answering.get(responder);
  const asker = stage.worker(`asker ${client}`);
  return {
    name,
    run: () => asker.run<Sample>('ask', { client, address, subject, ...asking }),
  };
}
