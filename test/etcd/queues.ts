import { type Engine, WaymarkError } from 'waymark/engine';
import { KV, type KeyValue, Lease } from 'waymark/etcd';
import type { EtcdApi } from './client.js';
import { bytes } from './keys.js';

export const text = (array: Uint8Array): string => Buffer.from(array).toString('latin1');

/** The key a lease has in the queue of a name. */
export function placeOf(name: string, lease: bigint): string {
  return `${name}/${lease.toString(16)}`;
}

/** Who stands in the queue of a name, the oldest first. */
export async function queueOf(api: EtcdApi, name: string): Promise<KeyValue[]> {
  const [key, rangeEnd] = [bytes(`${name}/`), bytes(`${name}0`)];
  const { kvs } = await api.call(KV.method.range, { key, rangeEnd, sortOrder: 1, sortTarget: 2 });
  return kvs;
}

/** Resolves once so many stand there. */
export async function queued(api: EtcdApi, name: string, count: number): Promise<KeyValue[]> {
  for (;;) {
    const queue = await queueOf(api, name);
    if (queue.length === count) return queue;
  }
}

/** A lease that outlives the test. */
export async function grant(api: EtcdApi): Promise<bigint> {
  return (await api.call(Lease.method.leaseGrant, { TTL: 60n })).ID;
}

export async function revoke(api: EtcdApi, lease: bigint): Promise<void> {
  await api.call(Lease.method.leaseRevoke, { ID: lease });
}

export async function remove(api: EtcdApi, key: string): Promise<void> {
  await api.call(KV.method.deleteRange, { key: bytes(key) });
}

/** What became of a call, told at any time. */
export interface Pending<T> {
  readonly result: Promise<T>;
  readonly over: () => boolean;
}

export function pending<T>(result: Promise<T>): Pending<T> {
  let over = false;
  const end = (): void => void (over = true);
  result.then(end, end);
  return { result, over: () => over };
}

/** @returns drops history, as it were, under the watch that is opened next, as soon as it is */
export function droppingHistory(engine: Engine): () => void {
  const watch = engine.watch.bind(engine);
  let drops = false;
  engine.watch = (ranges, options) => {
    if (!drops) return watch(ranges, options);
    drops = false;
    const error = new WaymarkError('compacted', 'history was dropped');
    return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
  };
  return () => (drops = true);
}
