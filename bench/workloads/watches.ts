import type { ClientName } from '../clients/index.js';
import { machineNow, value100, waitUntil } from '../harness/pace.js';
import { Latencies, type Sample } from '../harness/samples.js';
import { clientOf } from './load.js';

export interface SubscribeParams {
  readonly client: ClientName;
  readonly address: string;
  readonly topic: string;
  readonly connections: number;
  /** In all; spread evenly over the connections. */
  readonly watchers: number;
}

interface Subscription {
  readonly begin: (events: number) => Promise<Sample>;
}

const subscriptions = new Map<string, Subscription>();

/** Watchers stand when this resolves; `collect` then waits until each has seen the events of a run. */
export async function subscribe(params: SubscribeParams): Promise<null> {
  const { client, address, topic, connections, watchers } = params;
  const each = watchers / connections;
  const numbers = new Float64Array(watchers);
  const revisions = new Float64Array(watchers);
  let latencies = new Latencies();
  let [firstAt, delivered, broken, wanted] = [0, 0, 0, Infinity];
  let finished: (() => void) | undefined;
  const told = (watcher: number, value: string, revision: number): void => {
    if (value.startsWith('first')) return;
    const now = machineNow();
    // '<number> <time sent> …'. Revisions rise with each event; the numbers then add up only if each came once.
    const space = value.indexOf(' ');
    if (revision !== 0 && revision <= (revisions[watcher] as number)) broken++;
    revisions[watcher] = revision;
    numbers[watcher] = (numbers[watcher] as number) + Number(value.slice(0, space)) + 1;
    const sent = Number(value.slice(space + 1, value.indexOf(' ', space + 1)));
    if (firstAt === 0) firstAt = sent;
    latencies.add(now - sent);
    if (++delivered === wanted) finished?.();
  };
  for (let connection = 0; connection < connections; connection++) {
    const peer = await clientOf(client, address, connection);
    if (connection === 0) await peer.publish?.(topic, 'first value so that there is one');
  }
  for (let connection = 0; connection < connections; connection++) {
    const peer = await clientOf(client, address, 1_000 + connection);
    await peer.subscribe?.(topic, each, (watcher, value, revision) =>
      told(connection * each + watcher, value, revision),
    );
  }
  const begin = async (events: number): Promise<Sample> => {
    wanted = watchers * events;
    let late: NodeJS.Timeout | undefined;
    const all = new Promise<void>((resolve, reject) => {
      finished = resolve;
      late = setTimeout(
        () => reject(new Error(`${client}: ${delivered} of ${wanted} arrived`)),
        60_000,
      );
      if (delivered === wanted) resolve();
    });
    await all;
    clearTimeout(late);
    broken += numbers.filter((sum) => sum !== (events * (events + 1)) / 2).length;
    if (broken > 0) throw new Error(`${client}: ${broken} events out of order, missing or twice`);
    const seconds = (machineNow() - firstAt) / 1_000;
    const sample = { value: wanted / seconds, ...latencies.summary() };
    latencies = new Latencies();
    [firstAt, delivered, wanted] = [0, 0, Infinity];
    numbers.fill(0);
    return sample;
  };
  subscriptions.set(topic, { begin });
  return null;
}

/** Resolves when each watcher has seen so many events. */
export async function collect(params: {
  topic: string;
  events: number;
  measure: 'delivered' | 'latency';
}): Promise<Sample> {
  const sample = await (subscriptions.get(params.topic) as Subscription).begin(params.events);
  return params.measure === 'delivered' ? sample : { ...sample, value: sample.p50 ?? 0 };
}

export interface PublishParams {
  readonly client: ClientName;
  readonly address: string;
  readonly topic: string;
  readonly events: number;
  /** Open loop at this rate; absent: closed loop. */
  readonly perSecond?: number;
  /** Closed loop: so many unanswered at most. */
  readonly inFlight?: number;
}

export async function publish(params: PublishParams): Promise<Sample> {
  const peer = await clientOf(params.client, params.address);
  const send = peer.publish;
  if (send === undefined) throw new Error(`${params.client} cannot publish`);
  const begin = performance.now();
  const machineBegin = machineNow();
  const text = (event: number, at: number): string =>
    `${event} ${at.toFixed(3)} ${value100}`.slice(0, 100);
  if (params.perSecond === undefined) {
    // In order on one connection: the number of each event is its place.
    let event = 0;
    const caller = async (): Promise<void> => {
      while (event < params.events) {
        const next = event++;
        await send(params.topic, text(next, machineNow()));
      }
    };
    await Promise.all(Array.from({ length: params.inFlight ?? 16 }, caller));
  } else {
    const gap = 1_000 / params.perSecond;
    const sending: Promise<unknown>[] = [];
    for (let event = 0; event < params.events; event++) {
      const at = (event + 1) * gap;
      if (performance.now() < begin + at) await waitUntil(begin + at);
      sending.push(send(params.topic, text(event, machineBegin + at)));
    }
    await Promise.all(sending);
  }
  return { value: params.events / ((performance.now() - begin) / 1_000) };
}

export interface LongParams {
  readonly client: ClientName;
  readonly address: string;
  readonly seconds: number;
}

const peakSeconds = 2;

/**
 * Put → notified in an open loop at half of what the same work reaches in a closed one, writer and one watcher on two connections;
 * the last 10 s against the first.
 */
export async function long(params: LongParams): Promise<Sample & { first: number; last: number }> {
  const writer = await clientOf(params.client, params.address, 0);
  const watcher = await clientOf(params.client, params.address, 1);
  const send = writer.publish;
  if (send === undefined) throw new Error(`${params.client} cannot publish`);
  const topic = `/long/${process.pid}-${performance.now()}`;
  const publishNow = (at: number): Promise<unknown> =>
    send(topic, `${at} ${value100}`.slice(0, 100));
  let latencies = new Latencies(1);
  let told = 0;
  let enough = (): void => undefined;
  let wanted = Infinity;
  await publishNow(0);
  await watcher.subscribe?.(topic, 1, (_watcher, value) => {
    const at = Number(value.slice(0, value.indexOf(' ')));
    if (at === 0) return;
    latencies.add(performance.now() - at);
    if (++told >= wanted) enough();
  });
  const allTold = async (count: number): Promise<void> => {
    wanted = count;
    if (told < count) await new Promise<void>((resolve) => (enough = resolve));
  };

  const peakEnd = performance.now() + peakSeconds * 1_000;
  let sent = 0;
  latencies = new Latencies(4_000_000);
  const caller = async (): Promise<void> => {
    for (; performance.now() < peakEnd; sent++) await publishNow(performance.now());
  };
  await Promise.all(Array.from({ length: 128 }, caller));
  await allTold(sent);
  const perSecond = sent / (peakSeconds + (performance.now() - peakEnd) / 1_000) / 2;

  const total = Math.round(perSecond * params.seconds);
  latencies = new Latencies(total);
  const begin = performance.now() + 50;
  const gap = 1_000 / perSecond;
  let failed: unknown;
  for (let event = 0; event < total; event++) {
    const at = begin + event * gap;
    if (performance.now() < at) await waitUntil(at);
    // Late, answers are read all the same: else lateness would feed itself.
    else if (event % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    publishNow(at).catch((error: unknown) => (failed = error));
  }
  if (failed !== undefined) throw failed as Error;
  await allTold(sent + total);
  const tenth = Math.min(0.5, 10 / params.seconds);
  const [first, last] = [latencies.summary(0, tenth), latencies.summary(1 - tenth)];
  const shown = ({ p50, p99 }: { p50: number; p99: number }): string =>
    `p50 ${p50.toFixed(4)} p99 ${p99.toFixed(2)} ms`;
  const note = `first 10 s ${shown(first)}, last 10 s ${shown(last)}, at ${Math.round(perSecond)}/s`;
  const { p50 } = latencies.summary();
  return { value: p50, ...latencies.summary(), note, first: first.p50, last: last.p50 };
}
