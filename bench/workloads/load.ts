import { type ClientName, connectClient } from '../clients/index.js';
import type { Client } from '../clients/client.js';
import { keyOf, value100, waitUntil } from '../harness/pace.js';
import { Latencies, type Sample } from '../harness/samples.js';

export type KeyOp = 'put' | 'get' | 'cas' | 'grant' | 'renew' | 'lock';

export interface LoadParams {
  readonly client: ClientName;
  readonly address: string;
  readonly op: KeyOp;
  /** Closed loop: so many at once. */
  readonly inFlight: number;
  readonly seconds: number;
}

const keyCount = 10_000;
/** Connections stay open from run to run: what is measured is a running application. */
const open = new Map<string, Promise<Client>>();

export function clientOf(client: ClientName, address: string, index = 0): Promise<Client> {
  const name = `${client} ${address} ${index}`;
  let opened = open.get(name);
  if (opened === undefined) open.set(name, (opened = connectClient(client)(address)));
  return opened;
}

export async function load(params: LoadParams): Promise<Sample> {
  const client = await clientOf(params.client, params.address);
  return await closedLoop(params, (index) => stepOf(client, params, index));
}

/** `inFlight` callers, each sends its next when the last is answered. The value is operations a second. */
export async function closedLoop(
  params: { readonly inFlight: number; readonly seconds: number },
  callerOf: (index: number) => (round: number) => Promise<unknown>,
): Promise<Sample> {
  const latencies = new Latencies();
  // A fifth more before the clock starts: code is compiled, connections are warm.
  const begin = performance.now() + params.seconds * 200;
  const end = begin + params.seconds * 1_000;
  let done = 0;
  const caller = async (index: number): Promise<void> => {
    const next = callerOf(index);
    for (let round = 0; ; round++) {
      const sent = performance.now();
      if (sent >= end) return;
      await next(round);
      const now = performance.now();
      if (now >= begin && now < end) {
        done++;
        latencies.add(now - sent);
      }
    }
  };
  await Promise.all(Array.from({ length: params.inFlight }, (_, index) => caller(index)));
  return { value: done / params.seconds, ...latencies.summary() };
}

/** One caller's next operation. Callers walk over the keys from different places. */
function stepOf(
  client: Client,
  params: LoadParams,
  index: number,
): (round: number) => Promise<unknown> {
  const { put, get, cas, grant, renew, lock } = client;
  const at = (round: number): string => keyOf((index * 79 + round * params.inFlight) % keyCount);
  if (params.op === 'put' && put) return (round) => put(at(round), value100);
  if (params.op === 'get' && get) return (round) => get(at(round));
  if (params.op === 'grant' && grant) return () => grant();
  if (params.op === 'renew' && grant && renew) {
    let id: number | string | undefined;
    return async () => renew((id ??= await grant()));
  }
  if (params.op === 'cas' && cas) {
    const key = `/cas/${process.pid}-${performance.now()}-${index}`;
    let expected: unknown;
    return async () =>
      (expected = await cas(key, value100 + String(index) + performance.now(), expected));
  }
  if (params.op === 'lock' && lock) {
    return async () => {
      const release = await lock(`/locks/lock-${index}`);
      await release();
    };
  }
  throw new Error(`${params.client} cannot ${params.op}`);
}

export interface OpenLoopParams {
  readonly client: ClientName;
  readonly address: string;
  readonly op: 'put' | 'get';
  readonly perSecond: number;
  readonly seconds: number;
  /** What is judged. Default p50. */
  readonly value?: 'p50' | 'p99';
  /** As fast as it goes for half a second first: at some paces operations are too few for their code to be compiled. */
  readonly warm?: boolean;
}

/** The value is in ms. */
export async function openLoop(params: OpenLoopParams): Promise<Sample> {
  const client = await clientOf(params.client, params.address);
  const operation = client[params.op];
  if (operation === undefined) throw new Error(`${params.client} cannot ${params.op}`);
  if (params.warm === true)
    await closedLoop(
      { inFlight: 1, seconds: 0.5 },
      () => (round) => operation(keyOf(round % keyCount), value100),
    );
  const summary = await paced(params, (arrival) => operation(keyOf(arrival % keyCount), value100));
  return { value: summary[params.value ?? 'p50'], ...summary };
}

/** Arrivals on a schedule; latency counts from the scheduled time, so waiting counts. The first fifth does not count. */
export async function paced(
  params: { readonly perSecond: number; readonly seconds: number },
  operation: (arrival: number) => Promise<unknown>,
): Promise<{ readonly p50: number; readonly p99: number; readonly max: number }> {
  const latencies = new Latencies();
  const total = Math.round(params.perSecond * params.seconds);
  const gap = 1_000 / params.perSecond;
  const warm = Math.floor(total / 5);
  const begin = performance.now() + 10;
  const waiting: Promise<void>[] = [];
  const one = async (arrival: number, scheduled: number): Promise<void> => {
    await operation(arrival);
    if (arrival >= warm) latencies.add(performance.now() - scheduled);
  };
  for (let arrival = 0; arrival < total; arrival++) {
    const scheduled = begin + arrival * gap;
    if (performance.now() < scheduled) await waitUntil(scheduled);
    waiting.push(one(arrival, scheduled));
  }
  await Promise.all(waiting);
  return latencies.summary();
}

export interface HoldLeasesParams {
  readonly client: ClientName;
  readonly address: string;
  readonly leases: number;
}

/** Grants so many leases when there are none, and sees that all of them live. */
export async function holdLeases(params: HoldLeasesParams): Promise<Sample> {
  const { grant, leaseCount } = await clientOf(params.client, params.address);
  if (grant === undefined || leaseCount === undefined) throw new Error('no leases there');
  const live = await leaseCount();
  if (live === params.leases) return { value: live };
  if (live > 0) throw new Error(`only ${live} of ${params.leases} leases live`);
  let left = params.leases;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await grant();
  };
  await Promise.all(Array.from({ length: 128 }, caller));
  return { value: await leaseCount() };
}

export interface FillParams {
  readonly client: ClientName;
  readonly address: string;
  readonly from?: number;
  readonly keys: number;
}

/** Writes each key once, 256 in flight. The value is keys a second. */
export async function fill(params: FillParams): Promise<Sample> {
  const { put } = await clientOf(params.client, params.address);
  if (put === undefined) throw new Error(`${params.client} cannot put`);
  const begin = performance.now();
  let next = params.from ?? 0;
  const caller = async (): Promise<void> => {
    // Values differ, as real ones do: nobody can keep one copy of them.
    for (let key = next++; key < params.keys; key = next++)
      await put(keyOf40(key), `${key}-`.padEnd(100, 'v'));
  };
  await Promise.all(Array.from({ length: 256 }, caller));
  return { value: params.keys / ((performance.now() - begin) / 1_000) };
}

/** A path of 40 bytes. */
function keyOf40(index: number): string {
  return `/bench/memory/per/key/entry/${String(index).padStart(12, '0')}`;
}
