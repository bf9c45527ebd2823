import { join } from 'node:path';
import { Auth } from 'waymark/etcd';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { Etcd3, EtcdPermissionDeniedError, Range } from 'etcd3';
import { expect, test } from 'vitest';
import { Command } from '../support/command.js';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { AuthWorld } from './auth-world.js';
import { onFreshEtcds } from './each-etcd.js';

const etcd = orNotRun('etcd-3.4', 'etcdctl, side by side with etcd');

/** As whom, and what: each is asked of both, and must say the same. */
const session: readonly string[] = [
  ': user add root:rpw',
  ': user add bob:bpw',
  ': user add nopw --no-password',
  ': user list',
  ': role add r',
  ': role grant-permission r readwrite foo',
  ': role grant-permission r read bar baz',
  ': role grant-permission r --prefix=true write pre/',
  ': role grant-permission r --from-key=true read zz',
  ': role get r',
  ': role list',
  ': user grant-role bob r',
  ': user grant-role bob none',
  ': user grant-role root root',
  ': user get bob',
  ': user get bob --detail',
  ': auth enable',
  ': put foo 1',
  'bob:bpw: put foo 1',
  'bob:bpw: put foo2 1',
  'bob:bpw: get foo',
  'bob:bpw: get --prefix b',
  'bob:bpw: get bar baz',
  'bob:bpw: put pre/x 1',
  'bob:bpw: get pre/x',
  'bob:bpw: get zzz --from-key',
  'bob:bpw: del foo',
  'bob:bpw: user list',
  'bob:bpw: user get bob',
  'bob:wrong: get foo',
  'root:rpw: user list',
  'root:rpw: role revoke-permission r foo',
  'bob:bpw: put foo 1',
  'root:rpw: user revoke-role bob r',
  'bob:bpw: get bar',
  'root:rpw: user passwd bob --interactive=false',
  'bob:new: get bar',
  'root:rpw: role delete r',
  'root:rpw: role get root',
  'root:rpw: user delete root',
  'root:rpw: user delete bob',
  'root:rpw: auth disable',
  ': get foo',
];

async function etcdctl(file: string, address: string, line: string): Promise<unknown> {
  const colon = line.lastIndexOf(': ');
  const user = line.slice(0, colon);
  const args = [`--endpoints=${address}`, ...(user === '' ? [] : [`--user=${user}`])];
  const env = { ETCDCTL_API: '3' };
  const command = new Command(file, [...args, ...line.slice(colon + 2).split(' ')], {
    env,
    input: 'new\n',
  });
  const { code, out, err } = await command.done;
  // The client tells of retries with a time and its own address in front.
  return { line, code, out, err: err.replaceAll(/^\{.*\}\n/gm, '') };
}

if (etcd !== null) {
  test(
    'etcdctl: users, roles and what they may do, word by word as etcd',
    { timeout: 180_000 },
    async () => {
      const file = join(etcd.directory, 'etcdctl');
      await using waymark = await startWaymark();
      const real = await startEtcd();
      try {
        for (const line of session) {
          const ours = await etcdctl(file, waymark.address, line);
          expect(ours).toEqual(await etcdctl(file, real.address, line));
        }
      } finally {
        await real.stop();
      }
    },
  );
}

onFreshEtcds((start) => {
  test('etcd3: logs in by itself, and again when its token is gone', async () => {
    await using world = await AuthWorld.start(start);
    const hosts = `http://${world.etcd.address}`;
    const admin = new Etcd3({ hosts });
    const role = await admin.role('writer').create();
    const range = Range.prefix('own/');
    await role.grant({ permission: 'Readwrite', range });
    expect(await role.permissions()).toEqual([{ permission: 'Readwrite', range }]);
    const user = await admin.user('bob').create('secret');
    await user.addRole(role);
    const root = await world.enable();
    const bob = new Etcd3({ hosts, auth: { username: 'bob', password: 'secret' } });
    await bob.put('own/a').value('1');
    expect(await bob.get('own/a').string()).toBe('1');
    expect(await bob.getAll().prefix('own/').strings()).toEqual({ 'own/a': '1' });
    await expect(bob.put('other').value('1')).rejects.toThrow(EtcdPermissionDeniedError);
    await expect(bob.getAll().strings()).rejects.toThrow(EtcdPermissionDeniedError);
    const lock = bob.lock('own/lock');
    await lock.acquire();
    await lock.release();
    // Whatever gave it the token is forgotten: etcd3 shows its password anew.
    await root.call(Auth.method.userChangePassword, { name: 'bob', password: 'secret' });
    expect(await bob.get('own/a').string()).toBe('1');
    bob.close();
    admin.close();
  });

  test('over JSON the token is the header `authorization`', async () => {
    await using world = await AuthWorld.start(start);
    await world.enable();
    const authorization = await world.token('root');
    const put = async (headers: Readonly<Record<string, string>>) => {
      const body = JSON.stringify({ key: 'YQ==', value: 'YQ==' });
      const url = `http://${world.etcd.address}/v3/kv/put`;
      const response = await fetch(url, { method: 'POST', body, headers });
      const { error, message } = (await response.json()) as { error?: string; message?: string };
      return [response.status, error ?? message];
    };
    expect(await put({ authorization })).toEqual([200, undefined]);
    expect(await put({})).toEqual([400, 'etcdserver: user name is empty']);
    expect(await put({ authorization: 'x.1' })).toEqual([401, 'etcdserver: invalid auth token']);
  });
});
