import {
  type Auth,
  type Cluster,
  type DescMessage,
  type DescService,
  type Election,
  type KV,
  type Lease,
  type LeaderKey,
  type Lock,
  type Maintenance,
  type MessageShape,
  type RequestOp,
  type TxnRequest,
  type Watch,
} from 'waymark/etcd';
import { arrayToBytes } from 'waymark/engine';
import type { Caller } from './auth-caller.js';
import { meantRange } from './auth-permissions.js';
import { keyOf } from './key-area.js';
import { deleteOf, putOf, txnOf } from './txn-requests.js';

/**
 * What a caller must be allowed for each method, once access is controlled: as etcd 3.5.30 has it, which closed what 3.4 left open (nested
 * transactions, leases, compaction). What etcd refuses about a request before it asks who calls is refused here first.
 */

export type Rule<Request = unknown> = (request: Request, caller: Caller) => Promise<void> | void;

/** A rule for every method: one that is left out does not compile. */
export type RulesOf<S extends DescService> = {
  readonly [Name in keyof S['method']]: S['method'][Name] extends {
    readonly input: infer Input extends DescMessage;
  }
    ? Rule<MessageShape<Input>>
    : never;
};

const root: Rule = (_, caller) => caller.root();
const anyUser: Rule = (_, caller) => void caller.user();

export const kvRules: RulesOf<typeof KV> = {
  range: ({ key, rangeEnd }, caller) => {
    keyOf(key);
    caller.readsOnly();
    caller.may('read', meantRange(key, rangeEnd));
  },
  put: (request, caller) => {
    putOf(request);
    return mayPut(request, caller);
  },
  deleteRange: (request, caller) => {
    deleteOf(request);
    mayDelete(request, caller);
  },
  txn: async (request, caller) => {
    txnOf(request, false);
    if (readsOnly(request)) caller.readsOnly();
    await mayTxn(request, caller);
  },
  compact: root,
};

function mayPut(
  { key, lease, prevKv }: Extract<RequestOp['request'], { case: 'requestPut' }>['value'],
  caller: Caller,
): Promise<void> | void {
  const range = { key: arrayToBytes(key) };
  caller.may('write', range);
  if (prevKv) caller.may('read', range);
  // Who attaches a key to a lease can end all that hang on it.
  if (lease !== 0n) return caller.mayLease('write', lease);
}

function mayDelete(
  request: Extract<RequestOp['request'], { case: 'requestDeleteRange' }>['value'],
  caller: Caller,
): void {
  const range = meantRange(request.key, request.rangeEnd);
  caller.may('write', range);
  if (request.prevKv) caller.may('read', range);
}

/** All that either branch could do, at every depth. */
async function mayTxn({ compare, success, failure }: TxnRequest, caller: Caller): Promise<void> {
  for (const { key, rangeEnd } of compare) caller.may('read', meantRange(key, rangeEnd));
  for (const { request } of [...success, ...failure]) {
    if (request.case === 'requestRange') {
      caller.may('read', meantRange(request.value.key, request.value.rangeEnd));
    } else if (request.case === 'requestPut') await mayPut(request.value, caller);
    else if (request.case === 'requestDeleteRange') mayDelete(request.value, caller);
    else if (request.case === 'requestTxn') await mayTxn(request.value, caller);
  }
}

function readsOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ request }) => request.case === 'requestRange');
}

/** The first key of all: what a watch of no key means. */
const firstKey = new Uint8Array([0]);

export const watchRules: RulesOf<typeof Watch> = {
  watch: ({ requestUnion: { case: kind, value } }, caller) => {
    if (kind !== 'createRequest') return;
    const { key, rangeEnd } = value;
    caller.may('watch', meantRange(key.length === 0 ? firstKey : key, rangeEnd));
  },
};

export const leaseRules: RulesOf<typeof Lease> = {
  leaseGrant: anyUser,
  leaseRevoke: (request, caller) => changesLease(request, caller),
  leaseKeepAlive: (request, caller) => changesLease(request, caller),
  leaseTimeToLive: async ({ ID, keys }, caller) => {
    caller.user();
    if (!keys) return caller.maySee(ID);
    caller.readsOnly();
    await caller.mayLease('read', ID);
  },
  leaseLeases: (_, caller) => caller.mayReadAllLeases(),
};

async function changesLease({ ID }: { readonly ID: bigint }, caller: Caller): Promise<void> {
  caller.user();
  await caller.mayLease('write', ID);
}

export const lockRules: RulesOf<typeof Lock> = {
  lock: (request, caller) => mayQueue(request, caller),
  unlock: ({ key }, caller) => caller.may('write', { key: arrayToBytes(key) }),
};

export const electionRules: RulesOf<typeof Election> = {
  campaign: (request, caller) => mayQueue(request, caller),
  proclaim: ({ leader }, caller) => mayLead(leader, caller),
  leader: (request, caller) => mayReadQueue(request, caller),
  observe: (request, caller) => mayReadQueue(request, caller),
  resign: ({ leader }, caller) => mayLead(leader, caller),
};

/** Locks and elections are keys `NAME/LEASE`, the lease in hexadecimal. Without a lease one is granted that nobody knows yet. */
async function mayQueue(
  { name, lease }: { readonly name: Uint8Array; readonly lease: bigint },
  caller: Caller,
): Promise<void> {
  const prefix = `${arrayToBytes(name)}/`;
  mayReadQueue({ name }, caller);
  if (lease === 0n) return caller.mayAllBelow('write', prefix);
  caller.may('write', { key: prefix + lease.toString(16) });
  await caller.mayLease('write', lease);
}

function mayReadQueue({ name }: { readonly name: Uint8Array }, caller: Caller): void {
  caller.mayAllBelow('read', `${arrayToBytes(name)}/`);
}

/** A leader's key is compared before it is written. */
async function mayLead(leader: LeaderKey | undefined, caller: Caller): Promise<void> {
  if (leader === undefined) return;
  const range = { key: arrayToBytes(leader.key) };
  caller.may('read', range);
  caller.may('write', range);
  await caller.mayLease('write', leader.lease);
}

export const clusterRules: RulesOf<typeof Cluster> = {
  memberAdd: root,
  memberRemove: root,
  memberUpdate: root,
  memberList: anyUser,
  memberPromote: root,
};

/** AlarmRequest's action that only looks (etcdserverpb.AlarmRequest.GET). */
const alarmGet = 0;

export const maintenanceRules: RulesOf<typeof Maintenance> = {
  alarm: ({ action }, caller) => void (action === alarmGet ? caller.user() : caller.root()),
  status: root,
  defragment: root,
  hash: root,
  hashKV: root,
  snapshot: root,
  moveLeader: root,
  downgrade: root,
};

export const authRules: RulesOf<typeof Auth> = {
  authEnable: root,
  authDisable: root,
  authStatus: root,
  // How one comes to a token.
  authenticate: () => {},
  userAdd: root,
  userGet: ({ name }, caller) => {
    if (name !== caller.name) caller.root();
  },
  userList: root,
  userDelete: root,
  userChangePassword: root,
  userGrantRole: root,
  userRevokeRole: root,
  roleAdd: root,
  roleGet: ({ role }, caller) => {
    if (!caller.hasRole(role)) caller.root();
  },
  roleList: root,
  roleDelete: root,
  roleGrantPermission: root,
  roleRevokePermission: root,
};
