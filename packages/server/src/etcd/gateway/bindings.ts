import {
  Auth,
  Cluster,
  type DescMethod,
  type DescService,
  Election,
  KV,
  Lease,
  Lock,
  Maintenance,
  Watch,
} from 'waymark/etcd';
import { gatewayPrefixes } from './paths.js';

/** Where each method is under `/v3/`: google.api.http in etcd's api/etcdserverpb/rpc.proto. */
type PathsOf<S extends DescService> = {
  readonly [Name in keyof S['method']]: readonly string[];
};

export interface Binding {
  readonly service: DescService;
  readonly method: DescMethod;
}

const kv: PathsOf<typeof KV> = {
  range: ['kv/range'],
  put: ['kv/put'],
  deleteRange: ['kv/deleterange'],
  txn: ['kv/txn'],
  compact: ['kv/compaction'],
};

const watch: PathsOf<typeof Watch> = { watch: ['watch'] };

const lease: PathsOf<typeof Lease> = {
  leaseGrant: ['lease/grant'],
  leaseRevoke: ['lease/revoke', 'kv/lease/revoke'],
  leaseKeepAlive: ['lease/keepalive'],
  leaseTimeToLive: ['lease/timetolive', 'kv/lease/timetolive'],
  leaseLeases: ['lease/leases', 'kv/lease/leases'],
};

const lock: PathsOf<typeof Lock> = { lock: ['lock/lock'], unlock: ['lock/unlock'] };

const election: PathsOf<typeof Election> = {
  campaign: ['election/campaign'],
  proclaim: ['election/proclaim'],
  leader: ['election/leader'],
  observe: ['election/observe'],
  resign: ['election/resign'],
};

const cluster: PathsOf<typeof Cluster> = {
  memberAdd: ['cluster/member/add'],
  memberRemove: ['cluster/member/remove'],
  memberUpdate: ['cluster/member/update'],
  memberList: ['cluster/member/list'],
  memberPromote: ['cluster/member/promote'],
};

const maintenance: PathsOf<typeof Maintenance> = {
  alarm: ['maintenance/alarm'],
  status: ['maintenance/status'],
  defragment: ['maintenance/defragment'],
  hash: ['maintenance/hash'],
  hashKV: ['maintenance/hashkv'],
  snapshot: ['maintenance/snapshot'],
  moveLeader: ['maintenance/transfer-leadership'],
  downgrade: ['maintenance/downgrade'],
};

const auth: PathsOf<typeof Auth> = {
  authEnable: ['auth/enable'],
  authDisable: ['auth/disable'],
  authStatus: ['auth/status'],
  authenticate: ['auth/authenticate'],
  userAdd: ['auth/user/add'],
  userGet: ['auth/user/get'],
  userList: ['auth/user/list'],
  userDelete: ['auth/user/delete'],
  userChangePassword: ['auth/user/changepw'],
  userGrantRole: ['auth/user/grant'],
  userRevokeRole: ['auth/user/revoke'],
  roleAdd: ['auth/role/add'],
  roleGet: ['auth/role/get'],
  roleList: ['auth/role/list'],
  roleDelete: ['auth/role/delete'],
  roleGrantPermission: ['auth/role/grant'],
  roleRevokePermission: ['auth/role/revoke'],
};

const bindings: ReadonlyMap<string, Binding> = new Map([
  ...bound(KV, kv),
  ...bound(Watch, watch),
  ...bound(Lease, lease),
  ...bound(Lock, lock),
  ...bound(Election, election),
  ...bound(Cluster, cluster),
  ...bound(Maintenance, maintenance),
  ...bound(Auth, auth),
]);

/** @param path  with its query, which says nothing */
export function bindingOf(path: string): Binding | undefined {
  const prefix = gatewayPrefixes.find((one) => path.startsWith(one)) ?? '';
  const end = path.indexOf('?');
  return bindings.get(path.slice(prefix.length, end < 0 ? undefined : end));
}

function bound<S extends DescService>(service: S, paths: PathsOf<S>): [string, Binding][] {
  return service.methods.flatMap((method) =>
    paths[method.localName as keyof PathsOf<S>].map((path): [string, Binding] => [
      path,
      { service, method },
    ]),
  );
}
