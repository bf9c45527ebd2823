import { Auth, KV } from 'waymark/etcd';
import { describe, expect, test } from 'vitest';
import { answer, AuthWorld, permission } from './auth-world.js';
import { onFreshEtcds } from './each-etcd.js';
import { bytes } from './keys.js';

const auth = Auth.method;
const kv = KV.method;

const denied = '7 etcdserver: permission denied';
const nameless = '3 etcdserver: user name is empty';
const badToken = '16 etcdserver: invalid auth token';
const loginFailed = '3 etcdserver: authentication failed, invalid user ID or password';
const notNow = '3 etcdserver: invalid auth management';

onFreshEtcds((start, kind) => {
  /** What etcd learned after 3.4. */
  const since35 = kind === 'etcd 3.4' ? () => {} : test;

  describe('users and roles', () => {
    test('users: added, listed by name, deleted, each refusal in its words', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody: api } = world;
      const add = (name: string, password = 'x') => answer(api, auth.userAdd, { name, password });
      expect(await add('')).toBe(nameless);
      for (const name of ['bob', 'ålice', 'zoë', '𝒛']) expect(await add(name)).toBe('ok');
      expect(await add('bob')).toBe('9 etcdserver: user name already exists');
      const { users } = await api.call(auth.userList, {});
      expect(users).toEqual(['bob', 'zoë', 'ålice', '𝒛']);
      expect(await answer(api, auth.userDelete, { name: 'zoë' })).toBe('ok');
      const absent = '9 etcdserver: user name not found';
      expect(await answer(api, auth.userDelete, { name: 'zoë' })).toBe(absent);
      expect(await answer(api, auth.userGet, { name: 'zoë' })).toBe(absent);
      expect(await answer(api, auth.userChangePassword, { name: '', password: 'x' })).toBe(absent);
      expect(await answer(api, auth.userRevokeRole, { name: 'zoë', role: 'r' })).toBe(absent);
      expect(await answer(api, auth.userGrantRole, { user: 'zoë', role: 'root' })).toBe(absent);
    });

    test('roles: granted and revoked, and gone from their users once deleted', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody: api } = world;
      await world.addUser('bob', []);
      const rolesOf = async (name: string) => (await api.call(auth.userGet, { name })).roles;
      expect(await answer(api, auth.roleAdd, { name: '' })).toBe(
        '3 etcdserver: role name is empty',
      );
      expect(await answer(api, auth.roleAdd, { name: 'bob' })).toBe(
        '9 etcdserver: role name already exists',
      );
      const grant = (role: string) => answer(api, auth.userGrantRole, { user: 'bob', role });
      expect(await grant('writer')).toBe('9 etcdserver: role name not found');
      // The role of root is there without anyone making it.
      expect(await grant('root')).toBe('ok');
      expect(await answer(api, auth.roleGet, { role: 'root' })).toBe(
        '9 etcdserver: role name not found',
      );
      await api.call(auth.roleAdd, { name: 'a' });
      expect(await grant('a')).toBe('ok');
      expect(await grant('a')).toBe('ok');
      expect(await rolesOf('bob')).toEqual(['a', 'bob', 'root']);
      const revoke = (role: string) => answer(api, auth.userRevokeRole, { name: 'bob', role });
      expect(await revoke('root')).toBe('ok');
      expect(await revoke('root')).toBe('9 etcdserver: role is not granted to the user');
      expect(await answer(api, auth.roleDelete, { role: 'a' })).toBe('ok');
      expect(await answer(api, auth.roleDelete, { role: 'a' })).toBe(
        '9 etcdserver: role name not found',
      );
      expect(await rolesOf('bob')).toEqual(['bob']);
      expect((await api.call(auth.roleList, {})).roles).toEqual(['bob']);
      // A role of the same name is another role.
      await api.call(auth.roleAdd, { name: 'a' });
      expect(await rolesOf('bob')).toEqual(['bob']);
      await api.call(auth.userDelete, { name: 'bob' });
      await api.call(auth.userAdd, { name: 'bob', password: 'x' });
      expect(await rolesOf('bob')).toEqual([]);
    });

    test('permissions: by key and range end, in order, the last one counts', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody: api } = world;
      await api.call(auth.roleAdd, { name: 'r' });
      const grant = (perm: ReturnType<typeof permission>) =>
        answer(api, auth.roleGrantPermission, { name: 'r', perm });
      for (const one of [
        permission('read', 'k'),
        permission('readwrite', 'a', 'c'),
        permission('read', '\0', ''),
        permission('write', 'k'),
      ]) {
        expect(await grant(one)).toBe('ok');
      }
      const shown = async () =>
        (await api.call(auth.roleGet, { role: 'r' })).perm.map(({ permType, key, rangeEnd }) => [
          permType,
          Buffer.from(key).toString('latin1'),
          Buffer.from(rangeEnd).toString('latin1'),
        ]);
      expect(await shown()).toEqual([
        [0, '\0', '\0'],
        [2, 'a', 'c'],
        [1, 'k', ''],
      ]);
      const revoke = (key: string, rangeEnd = '') =>
        answer(api, auth.roleRevokePermission, {
          role: 'r',
          key: bytes(key),
          rangeEnd: bytes(rangeEnd),
        });
      expect(await revoke('a')).toBe('9 etcdserver: permission is not granted to the role');
      expect(await revoke('a', 'c')).toBe('ok');
      expect(await shown()).toHaveLength(2);
      const absent = '9 etcdserver: role name not found';
      const perm = permission('read', 'k');
      expect(await answer(api, auth.roleGrantPermission, { name: 'q', perm })).toBe(absent);
      expect(await answer(api, auth.roleRevokePermission, { role: 'q' })).toBe(absent);
    });

    since35('no permission on what no key can be in', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody: api } = world;
      const grant = (perm?: ReturnType<typeof permission>) =>
        answer(api, auth.roleGrantPermission, perm === undefined ? {} : { perm });
      expect(await grant()).toBe('3 etcdserver: permission not given');
      for (const [key, end] of [
        ['', ''],
        ['', undefined],
        ['b', 'a'],
        ['b', 'b'],
      ] as const) {
        expect(await grant(permission('read', key, end))).toBe(notNow);
      }
    });
  });

  describe('switching it on and off', () => {
    test('needs the root user with the root role; neither may go while it is on', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody } = world;
      const enable = () => answer(nobody, auth.authEnable, {});
      expect(await answer(nobody, auth.authenticate, { name: 'root', password: 'root' })).toBe(
        '9 etcdserver: authentication is not enabled',
      );
      expect(await answer(nobody, auth.authDisable, {})).toBe('ok');
      expect(await enable()).toBe('9 etcdserver: root user does not exist');
      await nobody.call(auth.userAdd, { name: 'root', password: 'root' });
      expect(await enable()).toBe('9 etcdserver: root user does not have root role');
      await nobody.call(auth.userGrantRole, { user: 'root', role: 'root' });
      await nobody.call(auth.roleAdd, { name: 'root' });
      expect(await enable()).toBe('ok');
      const root = await world.logIn('root');
      expect(await answer(root, auth.authEnable, {})).toBe('ok');
      expect(await answer(root, auth.userDelete, { name: 'root' })).toBe(notNow);
      expect(await answer(root, auth.userRevokeRole, { name: 'root', role: 'root' })).toBe(notNow);
      expect(await answer(root, auth.roleDelete, { role: 'root' })).toBe(notNow);
      expect(await answer(root, auth.authDisable, {})).toBe('ok');
      expect(await answer(nobody, kv.put, { key: bytes('a') })).toBe('ok');
      expect(await answer(nobody, auth.roleDelete, { role: 'root' })).toBe('ok');
      expect((await nobody.call(auth.userGet, { name: 'root' })).roles).toEqual([]);
      expect(await enable()).toBe('9 etcdserver: root user does not have root role');
    });

    since35('its revision counts each change, and none that is none', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody } = world;
      const status = async (api = nobody) => {
        const { enabled, authRevision } = await api.call(auth.authStatus, {});
        return [enabled, authRevision];
      };
      expect(await status()).toEqual([false, 1n]);
      await world.addUser('bob', [permission('read', 'a')]);
      expect(await status()).toEqual([false, 5n]);
      await nobody.call(auth.userGrantRole, { user: 'bob', role: 'bob' });
      await nobody.refusal(auth.userAdd, { name: 'bob' });
      await nobody.call(auth.authDisable, {});
      expect(await status()).toEqual([false, 5n]);
      const root = await world.enable();
      expect(await status(root)).toEqual([true, 8n]);
      await root.call(auth.authEnable, {});
      expect(await status(root)).toEqual([true, 8n]);
      await root.call(auth.authDisable, {});
      expect(await status()).toEqual([false, 9n]);
    });
  });

  describe('tokens', () => {
    test('are given for the right password, and end with it, with the user and with the control', async () => {
      await using world = await AuthWorld.start(start);
      await world.addUser('bob', [permission('readwrite', 'a')]);
      const root = await world.enable();
      const logIn = (name: string, password: string) =>
        answer(world.nobody, auth.authenticate, { name, password });
      expect(await logIn('bob', 'wrong')).toBe(loginFailed);
      expect(await logIn('bob', '')).toBe(loginFailed);
      expect(await logIn('', '')).toBe(loginFailed);
      expect(await logIn('carol', 'carol')).toBe(loginFailed);
      const bob = await world.logIn('bob');
      const put = (api = bob) => answer(api, kv.put, { key: bytes('a') });
      expect(await put()).toBe('ok');
      expect(await put(world.client({ token: 'abc.1' }))).toBe(badToken);
      expect(await put(world.client({ token: '' }))).toBe(badToken);
      expect(await put(world.client({ authorization: await world.token('bob') }))).toBe('ok');
      await root.call(auth.userChangePassword, { name: 'bob', password: 'new' });
      expect(await put()).toBe(badToken);
      expect(await logIn('bob', 'bob')).toBe(loginFailed);
      const again = await world.logIn('bob', 'new');
      expect(await put(again)).toBe('ok');
      await root.call(auth.userDelete, { name: 'bob' });
      expect(await put(again)).toBe(badToken);
      await root.call(auth.userAdd, { name: 'bob', password: 'new' });
      expect(await put(again)).toBe(badToken);
      await root.call(auth.authDisable, {});
      await world.nobody.call(auth.authEnable, {});
      expect(await answer(root, kv.put, { key: bytes('a') })).toBe(badToken);
    });

    test('a user without a password never has one', async () => {
      await using world = await AuthWorld.start(start);
      const { nobody } = world;
      await nobody.call(auth.userAdd, {
        name: 'cert',
        password: 'x',
        options: { noPassword: true },
      });
      expect(await answer(nobody, auth.userChangePassword, { name: 'cert', password: 'y' })).toBe(
        'ok',
      );
      await world.enable();
      for (const password of ['', 'x', 'y']) {
        expect(await answer(nobody, auth.authenticate, { name: 'cert', password })).toBe(
          '2 auth: authentication failed, password was given for no password user',
        );
      }
    });

    test('a role that comes or goes is in force for tokens that stand', async () => {
      await using world = await AuthWorld.start(start);
      await world.addUser('bob', [permission('readwrite', 'a')]);
      const root = await world.enable();
      const bob = await world.logIn('bob');
      const put = (key: string) => answer(bob, kv.put, { key: bytes(key) });
      await root.call(auth.userRevokeRole, { name: 'bob', role: 'bob' });
      expect(await put('a')).toBe(denied);
      await root.call(auth.userGrantRole, { user: 'bob', role: 'bob' });
      expect(await put('a')).toBe('ok');
      const perm = permission('write', 'b');
      await root.call(auth.roleGrantPermission, { name: 'bob', perm });
      expect(await put('b')).toBe('ok');
      await root.call(auth.roleRevokePermission, { role: 'bob', key: bytes('b') });
      expect(await put('b')).toBe(denied);
      await root.call(auth.roleDelete, { role: 'bob' });
      expect(await put('a')).toBe(denied);
    });
  });

  test('what concerns all is for root alone; a user sees itself and its roles', async () => {
    await using world = await AuthWorld.start(start);
    await world.addUser('bob', []);
    await world.addUser('carol', []);
    const root = await world.enable();
    const bob = await world.logIn('bob');
    const calls = [
      [auth.authEnable, {}],
      [auth.authDisable, {}],
      [auth.userAdd, { name: '' }],
      [auth.userAdd, { name: 'x' }],
      [auth.userList, {}],
      [auth.userGet, { name: 'carol' }],
      [auth.userGet, { name: 'who' }],
      [auth.userDelete, { name: 'bob' }],
      [auth.userChangePassword, { name: 'bob', password: 'x' }],
      [auth.userGrantRole, { user: 'bob', role: 'root' }],
      [auth.userRevokeRole, { name: 'bob', role: 'bob' }],
      [auth.roleAdd, { name: 'x' }],
      [auth.roleDelete, { role: 'bob' }],
      [auth.roleGet, { role: 'carol' }],
      [auth.roleList, {}],
      [auth.roleGrantPermission, { name: 'bob', perm: permission('read', 'a') }],
      [auth.roleRevokePermission, { role: 'bob', key: bytes('a') }],
      ...(kind === 'etcd 3.4'
        ? []
        : ([
            [auth.authStatus, {}],
            [kv.compact, { revision: 1n }],
          ] as const)),
    ] as const;
    for (const [method, request] of calls as unknown as [typeof auth.userAdd, object][]) {
      expect([method.name, await answer(bob, method, request)]).toEqual([method.name, denied]);
      expect([method.name, await answer(world.nobody, method, request)]).toEqual([
        method.name,
        nameless,
      ]);
    }
    expect((await bob.call(auth.userGet, { name: 'bob' })).roles).toEqual(['bob']);
    expect((await bob.call(auth.roleGet, { role: 'bob' })).perm).toEqual([]);
    expect((await root.call(auth.userList, {})).users).toEqual(['bob', 'carol', 'root']);
  });
});
