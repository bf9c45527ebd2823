import { startEtcd as startWaymark } from '@waymark/server/testing';
import {
  Auth,
  Cluster,
  type DescMessage,
  Election,
  KV,
  Lease,
  Lock,
  Maintenance,
  toJson,
} from 'waymark/etcd';
import { expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { EtcdApi, type TypedMethod } from './client.js';
import { bytes } from './keys.js';

type Step = readonly [
  method: TypedMethod<DescMessage, DescMessage>,
  request: Record<string, unknown>,
];

const [key, name] = [bytes('k'), bytes('n')];
const user = { name: 'u', password: 'p' };
const perm = { permType: 0, key, rangeEnd: bytes('') };

/** Each unary call once, in an order in which none is refused. */
const steps: readonly Step[] = [
  [KV.method.put, { key, value: key }],
  [KV.method.range, { key }],
  [KV.method.range, { key, countOnly: true, revision: 1n }],
  [KV.method.txn, { success: [{ request: { case: 'requestRange', value: { key } } }] }],
  [KV.method.txn, { success: [{ request: { case: 'requestPut', value: { key } } }] }],
  [KV.method.deleteRange, { key }],
  [KV.method.deleteRange, { key }],
  [KV.method.compact, { revision: 2n }],
  [Lease.method.leaseGrant, { ID: 7n, TTL: 100n }],
  [Lease.method.leaseTimeToLive, { ID: 7n, keys: true }],
  [Lease.method.leaseTimeToLive, { ID: 8n }],
  [Lease.method.leaseLeases, {}],
  [Lock.method.lock, { name, lease: 7n }],
  [Lock.method.unlock, { key: bytes('n/7') }],
  [Election.method.campaign, { name, lease: 7n, value: key }],
  [Election.method.leader, { name }],
  [Lease.method.leaseRevoke, { ID: 7n }],
  [Cluster.method.memberList, {}],
  [Maintenance.method.status, {}],
  [Maintenance.method.alarm, {}],
  [Maintenance.method.defragment, {}],
  [Maintenance.method.hash, {}],
  [Maintenance.method.hashKV, {}],
  [Auth.method.userAdd, user],
  [Auth.method.userChangePassword, user],
  [Auth.method.userGet, { name: 'u' }],
  [Auth.method.userList, {}],
  [Auth.method.roleAdd, { name: 'r' }],
  [Auth.method.roleGrantPermission, { name: 'r', perm }],
  [Auth.method.roleGet, { role: 'r' }],
  [Auth.method.roleList, {}],
  [Auth.method.roleRevokePermission, { role: 'r', key }],
  [Auth.method.userGrantRole, { user: 'u', role: 'r' }],
  [Auth.method.userRevokeRole, { name: 'u', role: 'r' }],
  [Auth.method.userDelete, { name: 'u' }],
  [Auth.method.roleDelete, { role: 'r' }],
  [Auth.method.authStatus, {}],
  [Auth.method.authDisable, {}],
];

/** Of each answer: which fields its header has, and the revision while nothing but keys has taken one. */
async function headers(address: string): Promise<string[]> {
  using api = new EtcdApi(address);
  const told: string[] = [];
  for (const [method, request] of steps) {
    const answer = toJson(method.output, await api.call(method, request));
    const { header } = answer as { header?: Record<string, unknown> };
    const { revision } = header ?? {};
    const counted = method.parent.typeName === Auth.typeName ? 'some' : String(revision);
    const fields = Object.keys(header ?? {}).sort();
    told.push(`${method.name} [${fields.join(' ')}] ${revision === undefined ? 'none' : counted}`);
  }
  return told;
}

test.runIf(orNotRun('etcd-3.5', 'headers beside those of etcd 3.5') !== null)(
  'every answer has the header that etcd gives it',
  async () => {
    const [waymark, etcd] = [await startWaymark(), await startEtcd({ version: '3.5' })];
    try {
      expect(await headers(waymark.address)).toEqual(await headers(etcd.address));
    } finally {
      await waymark.close();
      await etcd.stop();
    }
  },
);
