import { type Namespace, open } from 'waymark';
import { receive, sender, type Sink, type SinkKind } from '../clients/sinks.js';
import { machineNow, waitUntil } from '../harness/pace.js';
import { Latencies, type Sample } from '../harness/samples.js';
import { clientOf } from './load.js';

const namespace = 'bench';
const padding = 'v'.repeat(60);
const lateMs = 60_000;

interface Written {
  /** machineNow() when it was put. */
  readonly at: number;
  readonly padding: string;
}

interface Document {
  readonly type: string;
  readonly sequence: string;
  readonly data: Written;
}

interface Receipts {
  readonly collect: (events: number) => Promise<Sample>;
}

const receipts = new Map<string, Receipts>();

/** @returns the URI to deliver to; `collectReceipts` then waits for what comes */
export async function receiveDeliveries(sink: Sink): Promise<string> {
  let latencies = new Latencies();
  let [firstAt, came, wanted, broken, last] = [0, 0, Infinity, 0, ''];
  let finished = (): void => {};
  const take = (json: string): void => {
    const told = JSON.parse(json) as Document | Document[];
    const now = machineNow();
    for (const { type, sequence, data } of Array.isArray(told) ? told : [told]) {
      if (type === 'dev.waymark.test') continue;
      if (sequence <= last) broken++;
      last = sequence;
      if (firstAt === 0) firstAt = data.at;
      latencies.add(now - data.at);
      if (++came === wanted) finished();
    }
  };
  const collect = async (events: number): Promise<Sample> => {
    await new Promise<void>((resolve, reject) => {
      const told = (): void => reject(new Error(`${came} of ${events} came`));
      const late = setTimeout(told, lateMs);
      finished = () => {
        clearTimeout(late);
        resolve();
      };
      wanted = events;
      if (came === wanted) finished();
    });
    if (broken > 0) throw new Error(`${broken} events out of order, or twice`);
    const sample = { value: events / ((machineNow() - firstAt) / 1_000), ...latencies.summary() };
    latencies = new Latencies();
    [firstAt, came, wanted] = [0, 0, Infinity];
    return sample;
  };
  receipts.set(sink.name, { collect });
  return await receive(sink, take);
}

export interface CollectReceiptsParams {
  readonly name: string;
  readonly events: number;
}

/** Waits until so many have come, each once and in order. The value is events a second since the first was put. */
export async function collectReceipts({ name, events }: CollectReceiptsParams): Promise<Sample> {
  const known = receipts.get(name);
  if (known === undefined) throw new Error(`nobody receives '${name}'`);
  return await known.collect(events);
}

export interface DeliverParams {
  readonly address: string;
  readonly kind: SinkKind;
  readonly name: string;
  readonly uri: string;
  /** Events in one delivery at most. */
  readonly batch: number;
}

/** Has the server deliver from now on. */
export async function register({ address, name, uri, batch }: DeliverParams): Promise<void> {
  await using space = await open(address);
  const pattern = `/${name}/*`;
  const { watcher } = await space.watchers.add({ namespace, pattern, endpoint: uri, batch });
  const { accepted, error } = await space.watchers.test(watcher.id);
  if (!accepted) throw new Error(`the probe was not accepted: ${error}`);
}

/**
 * What somebody writes who has no registered watch: a watch in a process of its own, and a plain loop over the client library. In order, one delivery in
 * flight, as many documents in each as have come. Its cursor is in memory alone, and nothing is tried again. Resolves once the watch stands.
 */
export async function deliverByHand(params: DeliverParams): Promise<void> {
  const { address, kind, name, uri, batch } = params;
  const bench = (await open(address)).namespace<Written>(namespace);
  const send = await sender(kind, uri);
  const waiting: string[] = [];
  let wake = (): void => {};
  void follow(bench, name, (json) => {
    waiting.push(json);
    wake();
  });
  await bench.get(`/${name}`);
  const loop = async (): Promise<void> => {
    for (;;) {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      await send(waiting.splice(0, batch));
    }
  };
  void loop();
}

async function follow(
  bench: Namespace<Written>,
  name: string,
  told: (json: string) => void,
): Promise<void> {
  let previous = '';
  await bench.watch(`/${name}`, { tree: true, locks: false }).forEach((event) => {
    if (event.kind !== 'put') return;
    const { path, value, revision } = event;
    const sequence = String(revision).padStart(47, '0');
    told(JSON.stringify(documentOf({ path, value, revision, sequence, previous })));
    previous = sequence;
  });
}

function documentOf(event: {
  readonly path: string;
  readonly value: Written;
  readonly revision: number;
  readonly sequence: string;
  readonly previous: string;
}): object {
  const { path, value, revision, sequence, previous } = event;
  return {
    specversion: '1.0',
    id: `${revision}.0`,
    source: 'urn:waymark:by-hand:bench',
    type: 'dev.waymark.put',
    subject: path,
    sequence,
    previous,
    stream: 'f6a1b9b2c6c94d61a3c2f2d15d2b4a80.by-hand',
    revision: String(revision),
    fence: '1',
    attempt: 1,
    sentat: new Date().toISOString(),
    watchers: 'f6a1b9b2c6c94d61a3c2f2d15d2b4a80f6a1b9b2c6c94d61a3c2f2d15d2b4a80',
    datacontenttype: 'application/json',
    data: value,
  };
}

export interface WriteParams {
  readonly address: string;
  readonly name: string;
  readonly events: number;
  /** On a schedule; without, 128 are in flight. */
  readonly perSecond?: number;
}

const inFlight = 128;
const keys = 1_000;

export async function write({ address, name, events, perSecond }: WriteParams): Promise<void> {
  const { put } = await clientOf('waymark', address);
  if (put === undefined) throw new Error('nothing is put there');
  const one = (index: number): Promise<unknown> =>
    put(`/${name}/${index % keys}`, JSON.stringify({ at: machineNow(), padding }));
  let next = 0;
  const caller = async (): Promise<void> => {
    for (let index = next++; index < events; index = next++) await one(index);
  };
  if (perSecond === undefined) {
    await Promise.all(Array.from({ length: inFlight }, caller));
    return;
  }
  const begin = performance.now();
  const puts: Promise<unknown>[] = [];
  for (let index = 0; index < events; index++) {
    await waitUntil(begin + (index * 1_000) / perSecond);
    puts.push(one(index));
  }
  await Promise.all(puts);
}
