import { KV, Lease } from 'waymark/etcd';
import type { EtcdApi } from './client.js';

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Writes for tests: each returns the revision it is told of. */
export class Keys {
  readonly #api: EtcdApi;

  constructor(api: EtcdApi) {
    this.#api = api;
  }

  async put(key: string, value: string, lease = 0n): Promise<number> {
    const request = { key: bytes(key), value: bytes(value), lease };
    return Number((await this.#api.call(KV.method.put, request)).header?.revision);
  }

  async delete(key: string, rangeEnd = ''): Promise<number> {
    const request = { key: bytes(key), rangeEnd: bytes(rangeEnd) };
    return Number((await this.#api.call(KV.method.deleteRange, request)).header?.revision);
  }

  async compact(revision: number): Promise<void> {
    await this.#api.call(KV.method.compact, { revision: BigInt(revision), physical: true });
  }

  async grant(ttl: number): Promise<bigint> {
    return (await this.#api.call(Lease.method.leaseGrant, { TTL: BigInt(ttl) })).ID;
  }
}
