import type { SinkKind } from '../clients/sinks.js';
import type { Side } from '../harness/duel.js';
import { cpuMs, type Running } from '../harness/processes.js';
import { figure, type Sample } from '../harness/samples.js';
import { startRedis, startWaymark } from '../servers/index.js';
import { startRabbit } from '../servers/rabbitmq.js';
import type { CollectReceiptsParams, DeliverParams, WriteParams } from '../workloads/deliveries.js';
import type { Stage } from './stage.js';

const events = { 100: 60_000, 1: 10_000 } as const;
const paced = { perSecond: 500, events: 1_000 };
/** Before a pace, which is too slow for code to be compiled. */
const warming = 2_000;

interface Line {
  readonly kind: SinkKind;
  readonly batch: keyof typeof events;
  readonly measure: 'rate' | 'latency';
}

/**
 * Registered watches, from put to receipt, beside the same by hand: a process that watches a server of its own and sends in a plain loop over the client library. Who
 * puts and who receives are two more processes on either side. What is delivered by hand is not durable: the loop keeps its cursor in memory.
 */
export async function deliverySuite(stage: Stage): Promise<void> {
  const ways = new Map<string, Promise<Way>>();
  const side = async (name: 'waymark' | 'by hand', line: Line): Promise<Side> => {
    const key = `${name} ${line.kind} ${line.batch}`;
    const way = ways.get(key) ?? begun(stage, name, line);
    ways.set(key, way);
    const { run } = await way;
    return { name, run: () => run(line) };
  };
  const lineOf = (name: string, unit: string, line: Line): Promise<void> =>
    stage.line(
      name,
      unit,
      async () => [await side('waymark', line)],
      async () => [await side('by hand', line)],
    );
  for (const kind of ['http', 'redis', 'amqp'] as const) {
    for (const batch of [100, 1] as const) {
      const how = batch === 1 ? 'one at a time' : `batches of ${batch}`;
      const rate = `events/s, ${events[batch]} put with 128 in flight, first put → last receipt`;
      await lineOf(`delivered over ${kind}, ${how}`, rate, { kind, batch, measure: 'rate' });
    }
    const ms = `ms, put → receipt, ${paced.perSecond}/s open loop`;
    const latency = { kind, batch: 100, measure: 'latency' } as const;
    await lineOf(`put → received over ${kind} p50`, ms, latency);
  }
}

interface Way {
  readonly run: (line: Line) => Promise<Sample>;
}

/** Begins to receive and to deliver: `name` by the server itself, or by hand. */
async function begun(stage: Stage, name: string, { kind, batch }: Line): Promise<Way> {
  const brokers: Readonly<Record<SinkKind, () => Promise<Running> | null>> = {
    http: () => null,
    redis: () => stage.server('redis', () => startRedis()),
    amqp: () => stage.server('rabbitmq', startRabbit),
  };
  const allowed = { flags: ['--allow-endpoint-net', '127.0.0.1/32'] };
  const { address, pid } = await stage.server(name, () => startWaymark(allowed));
  const sink = `${kind}-${batch}-${name.replace(' ', '-')}`;
  const receiver = stage.worker(`receiver ${name}`);
  const at = { kind, address: (await brokers[kind]())?.address ?? '', name: sink };
  const uri = await receiver.run<string>('receiveDeliveries', at);
  const deliver: DeliverParams = { address, kind, name: sink, uri, batch };
  const delivering = [pid];
  if (name === 'waymark') await stage.worker(`writer ${name}`).run('register', deliver);
  else {
    const sender = stage.worker('sender');
    delivering.push(sender.pid);
    await sender.run('deliverByHand', deliver);
  }
  const cpu = async (): Promise<number> => {
    const all = await Promise.all(delivering.map(cpuMs));
    return all.reduce((sum, one) => sum + one);
  };
  const writer = stage.worker(`writer ${name}`);
  const told = async (call: Pick<WriteParams, 'events' | 'perSecond'>): Promise<Sample> => {
    const collect: CollectReceiptsParams = { name: sink, events: call.events };
    const write: WriteParams = { address, name: sink, ...call };
    const before = await cpu();
    const collected = receiver.run<Sample>('collectReceipts', collect);
    await Promise.all([collected, writer.run('write', write)]);
    const each = (((await cpu()) - before) * 1_000) / call.events;
    return { ...(await collected), note: `CPU of who delivers: ${figure(each)} µs an event` };
  };
  return {
    run: async ({ measure }) => {
      if (measure === 'rate') return await told({ events: events[batch] });
      await told({ events: warming });
      const sample = await told(paced);
      return { ...sample, value: sample.p50 ?? 0 };
    },
  };
}
