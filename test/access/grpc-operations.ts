import { KV } from 'waymark/etcd';
import type { EtcdApi } from '../etcd/client.js';
import type { Need } from './oracle.js';
import { data, valueOf } from './world.js';

/** A call of etcd's API, and what it needs. */
export interface GrpcOperation {
  readonly name: string;
  readonly needs: (path: string) => readonly Need[];
  /** @returns what was told, as text */
  readonly run: (api: EtcdApi, path: string) => Promise<string>;
}

const { range, put, deleteRange, txn } = KV.method;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const read = (path: string): Need => data('read', path);
const write = (path: string): Need => data('write', path);

export const grpcOperations: readonly GrpcOperation[] = [
  {
    name: 'Range',
    needs: (path) => [read(path)],
    run: async (api, path) => {
      const { kvs, count } = await api.call(range, { key: bytes(path) });
      return `${count} ${kvs.map(({ value }) => Buffer.from(value).toString()).join(' ')}`;
    },
  },
  {
    name: 'Range of a tree',
    needs: (path) => [read(path)],
    run: async (api, path) => {
      const asked = { key: bytes(`${path}/`), rangeEnd: bytes(`${path}0`), keysOnly: true };
      return String((await api.call(range, asked)).count);
    },
  },
  {
    name: 'Put',
    needs: (path) => [write(path)],
    run: async (api, path) => {
      await api.call(put, { key: bytes(path), value: bytes(valueOf(path)) });
      return '';
    },
  },
  {
    name: 'Put for what was there',
    needs: (path) => [write(path), read(path)],
    run: async (api, path) => {
      const asked = { key: bytes(path), value: bytes(valueOf(path)), prevKv: true };
      const { prevKv } = await api.call(put, asked);
      return Buffer.from(prevKv?.value ?? []).toString();
    },
  },
  {
    name: 'DeleteRange',
    needs: (path) => [write(`${path}/never`)],
    run: async (api, path) =>
      String((await api.call(deleteRange, { key: bytes(`${path}/never`) })).deleted),
  },
  {
    name: 'Txn in a Txn',
    needs: (path) => [read(path)],
    run: async (api, path) => {
      const inner = { case: 'requestRange' as const, value: { key: bytes(path) } };
      const nested = { case: 'requestTxn' as const, value: { success: [{ request: inner }] } };
      const { responses } = await api.call(txn, { success: [{ request: nested }] });
      return String(responses.length);
    },
  },
];
