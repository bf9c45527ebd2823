import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { Auth, Cluster, KV, Lease } from 'waymark/etcd';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve } from '../server/served.js';
import { certificates } from '../support/certificates.js';
import { Command } from '../support/command.js';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { answer, permission } from './auth-world.js';
import { EtcdApi } from './client.js';
import { bytes } from './keys.js';

let folder = '';
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await certificates();
});

afterAll(() => rm(folder, { recursive: true }));

interface Served extends AsyncDisposable {
  readonly address: string;
}

const onWaymark = (http2: 'own' | 'node') => (): Promise<Served> => {
  const tls = { cert: file('server.crt'), key: file('server.key'), clientCa: file('ca.crt') };
  return serve({ tls, http2 });
};

const onEtcd = (version: '3.4' | '3.5') => async (): Promise<Served> => {
  const { address, stop } = await startEtcd({ version, tls: folder });
  return { address, [Symbol.asyncDispose]: stop };
};

const kinds: [string, () => Promise<Served>][] = [
  ['waymark', onWaymark('own')],
  ['waymark on node:http2', onWaymark('node')],
  ...(['3.4', '3.5'] as const)
    .filter((version) => orNotRun(`etcd-${version}`, 'users by certificate') !== null)
    .map((version): [string, () => Promise<Served>] => [`etcd ${version}`, onEtcd(version)]),
];

/** A client that shows this certificate. */
function clientOf({ address }: Served, name: string, metadata = {}): EtcdApi {
  const [ca, key, cert] = ['ca.crt', `${name}.key`, `${name}.crt`].map((one) =>
    readFileSync(file(one)),
  );
  return new EtcdApi(address, metadata, credentials.createSsl(ca as Buffer, key, cert));
}

describe.each(kinds)('%s', (kind, start) => {
  test('who shows a certificate is the user of its name, unless a token says who', async () => {
    await using served = await start();
    using root = clientOf(served, 'root');
    using client = clientOf(served, 'client');
    using nobody = clientOf(served, 'server');
    await root.call(Auth.method.userAdd, { name: 'root', password: 'secret' });
    await root.call(Auth.method.userGrantRole, { user: 'root', role: 'root' });
    await root.call(Auth.method.userAdd, { name: 'client', options: { noPassword: true } });
    await root.call(Auth.method.roleAdd, { name: 'orders' });
    const perm = permission('readwrite', 'orders/', 'orders0');
    await root.call(Auth.method.roleGrantPermission, { name: 'orders', perm });
    await root.call(Auth.method.userGrantRole, { user: 'client', role: 'orders' });
    await root.call(Auth.method.authEnable, {});
    const put = (api: EtcdApi, key: string): Promise<string> =>
      answer(api, KV.method.put, { key: bytes(key), value: bytes('v') });
    const denied = '7 etcdserver: permission denied';
    expect(await put(root, 'any')).toBe('ok');
    expect(await put(client, 'orders/1')).toBe('ok');
    expect(await put(client, 'any')).toBe(denied);
    expect(await put(nobody, 'orders/1')).toBe(denied);
    expect(await answer(client, Auth.method.userList, {})).toBe(denied);
    expect(await answer(nobody, Auth.method.userList, {})).toBe(
      '9 etcdserver: user name not found',
    );
    expect(await answer(root, Auth.method.userList, {})).toBe('ok');
    expect(await answer(nobody, Lease.method.leaseGrant, { TTL: 60n })).toBe('ok');
    expect(await answer(nobody, Cluster.method.memberList, {})).toBe('ok');
    const { token } = await client.call(Auth.method.authenticate, {
      name: 'root',
      password: 'secret',
    });
    using asRoot = clientOf(served, 'client', { token });
    expect(await put(asRoot, 'any')).toBe('ok');
    using wrong = clientOf(served, 'root', { token: 'none' });
    expect(await put(wrong, 'any')).toBe('16 etcdserver: invalid auth token');
    using proxied = clientOf(served, 'root', { 'grpcgateway-accept': '*/*' });
    expect(await put(proxied, 'any')).toBe('3 etcdserver: user name is empty');
    const certificate = ['--cacert', 'ca.crt', '--cert', 'root.crt', '--key', 'root.key'];
    const args = certificate.map((one) => (one.startsWith('--') ? one : file(one)));
    const url = `https://${served.address}/v3/kv/put`;
    const json = new Command('curl', ['-sS', ...args, '-d', '{"key":"YQ==","value":"MQ=="}', url]);
    const ignored = kind.startsWith('etcd')
      ? 'CommonName of client sending a request against gateway will be ignored'
      : 'user name is empty';
    expect((await json.done).out).toContain(ignored);
  });
});
