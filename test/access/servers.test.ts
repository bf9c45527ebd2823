import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningServer, type ServerOptions, startServer } from '@waymark/server';
import { afterEach, expect, test } from 'vitest';
import { isWaymarkError, open, type Reply, type Space } from 'waymark';
import {
  connectHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  type RecipeCall,
  recipeCalls,
  systemClock,
  systemRandom,
  watcherCalls,
} from 'waymark/engine';
import { Lease } from 'waymark/etcd';
import { Access } from '../../packages/server/src/access/access.js';
import { answer } from '../etcd/auth-world.js';
import { EtcdApi } from '../etcd/client.js';

/** What access asks of several servers, where they listen, and of the parts beside namespaces. */

const ending: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface Asked {
  readonly server: RunningServer;
  readonly url: string;
  /** Of root; empty where access was on already. */
  readonly root: string;
}

async function start(options: ServerOptions): Promise<Asked> {
  let root = '';
  const server = await startServer({
    ...{ listen: ['127.0.0.1:0'], logLevel: 'silent', watchers: false, stash: false },
    ...{ audit: () => {}, firstToken: (token: string) => (root = token) },
    ...options,
  });
  ending.push(() => server.close());
  return { server, url: `http://${server.addresses[0]}`, root };
}

async function ask(
  at: string,
  token: string,
  method: string,
  path: string,
  body?: object,
): Promise<Response> {
  return await fetch(at + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** A token of a new user whose one role has these rules. */
async function tokenFor({ url, root }: Asked, user: string, ...rules: object[]): Promise<string> {
  for (const rule of rules) {
    const made = await ask(url, root, 'POST', `/v1/access/roles/${user}/rules`, rule);
    expect(made.status, await made.clone().text()).toBe(200);
  }
  const made = await ask(url, root, 'POST', '/v1/access/tokens', { user, roles: [user] });
  return ((await made.json()) as { token: string }).token;
}

async function as(url: string, token: string): Promise<Space> {
  const space = await open(url, { token });
  ending.push(() => space.close());
  return space;
}

const deliverCall = recipeCalls.find(({ name }) => name === 'messages.deliver') as RecipeCall<
  object,
  unknown
>;

/** What a call failed with; `done` where it did not. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'done',
    (error: unknown) => {
      expect(isWaymarkError(error), String(error)).toBe(true);
      return (error as { code: string }).code;
    },
  );
}

async function twoServers(): Promise<{ engine: Engine; first: Asked; second: Asked }> {
  const engine = createMemoryEngine();
  const first = await start({ engine, access: true });
  const second = await start({ engine });
  return { engine, first, second };
}

test('[A5.1] a token made at one server is good at the other within a second, and so is its end', async () => {
  const { first, second } = await twoServers();
  const token = await tokenFor(first, 'u', { actions: ['read'], path: '/a' });
  const status = async (): Promise<number> =>
    (await ask(second.url, token, 'GET', '/v1/ns/default/keys/a')).status;
  await expect.poll(status, { timeout: 1_000 }).toBe(404);
  expect((await ask(second.url, token, 'GET', '/v1/ns/default/keys/b')).status).toBe(403);
  const listed = await ask(first.url, first.root, 'GET', '/v1/access/tokens');
  const { tokens } = (await listed.json()) as { tokens: { id: string; user: string }[] };
  const { id } = tokens.find(({ user }) => user === 'u') as { id: string };
  await ask(first.url, first.root, 'DELETE', `/v1/access/tokens/${id}`);
  await expect.poll(status, { timeout: 1_000 }).toBe(401);
});

test('[A6.2] servers pass on messages of members that may send, and of nobody else', async () => {
  const { first, second } = await twoServers();
  const member = await tokenFor(first, 'member', { actions: ['lead', 'send'], path: '/g' });
  const other = await tokenFor(first, 'other', { actions: ['read', 'lead'], path: '/g' });
  await expect
    .poll(async () => (await ask(second.url, other, 'GET', '/v1/ns/default/keys/g')).status)
    .toBe(404);
  const [here, there] = [await as(first.url, member), await as(second.url, member)];
  const one = await here.namespace('default').members('/g').join({ id: 'one' });
  await there
    .namespace('default')
    .members('/g')
    .join({ id: 'two', handle: () => 'heard' });
  const send = (): Promise<Reply> => one.sendTo('two', 1);
  await expect.poll(async () => (await send()).outcome, { timeout: 10_000 }).toBe('delivered');
  expect(await send()).toMatchObject({ outcome: 'delivered', value: 'heard' });
  const mute = await (
    await as(first.url, other)
  )
    .namespace('default')
    .members('/g')
    .join({ id: 'x' });
  const told = await mute.sendTo('two', 1).then(
    ({ outcome }) => outcome,
    (error: { code: string }) => error.code,
  );
  expect(told).toBe('denied');
});

test('[A6.2] the secret of servers is good for passing on alone, and for nothing once it was renewed', async () => {
  const { engine, first, second } = await twoServers();
  const access = await Access.open({ engine, clock: systemClock, random: systemRandom });
  ending.push(() => access[Symbol.asyncDispose]());
  const secret = (await access.peerToken()) as string;
  await using host = await connectHost(first.url, { token: secret, reconnect: false });
  const denied = [
    host.grant(10_000),
    host.lease(1),
    host.renew(1),
    host.status(),
    host.namespaces(),
    host.read('default', { key: 'd/a' }),
    host.removeNamespace('n'),
    (async () => {
      for await (const batch of host.watch('default', [{ key: 'd/a' }])) void batch;
    })(),
  ];
  for (const call of denied) expect(await codeOf(call)).toBe('denied');
  await using space = createSpace(host, { clock: systemClock, random: systemRandom, owner: 'x' });
  for (const call of [space.stash.indexes(), space.watchers.list(), space.watchers.mode()]) {
    expect(await codeOf(call)).toBe('denied');
  }
  expect((await ask(first.url, secret, 'GET', '/v1/namespaces')).status).toBe(403);
  expect((await ask(first.url, secret, 'GET', '/v1/status')).status).toBe(403);
  using api = new EtcdApi(first.url.slice('http://'.length), { token: secret });
  expect(await answer(api, Lease.method.leaseGrant, { TTL: 60n })).toBe(
    '16 etcdserver: invalid auth token',
  );
  const message = { group: '/g', member: 'm', from: 'x', kind: 'send', body: '' } as const;
  const passed = { ...message, deadlineMs: 1_000, relayed: true, guest: false, term: undefined };
  const pass = (): Promise<unknown> => host.run(deliverCall, 'default', passed);
  expect(await pass()).toMatchObject({ outcome: 'refused' });
  expect((await ask(first.url, first.root, 'POST', '/v1/access/peers/renew')).status).toBe(204);
  await expect.poll(() => codeOf(pass()), { timeout: 1_000 }).not.toBe('done');
  const again = connectHost(second.url, { token: secret, reconnect: false });
  await expect(again).rejects.toMatchObject({ code: 'unauthenticated' });
  expect(await access.peerToken()).not.toBe(secret);
});

test('[A6.1] beyond loopback a server listens with access on, keeps it on there, and not at all without', async () => {
  const everywhere = { listen: ['0.0.0.0:0'] };
  expect(await codeOf(start({ engine: createMemoryEngine(), ...everywhere }))).toBe('denied');
  const asked = await start({ engine: createMemoryEngine(), access: true, ...everywhere });
  const at = asked.url.replace('0.0.0.0', '127.0.0.1');
  expect((await fetch(`${at}/v1/ns`)).status).toBe(401);
  expect((await ask(at, asked.root, 'GET', '/v1/ns')).status).toBe(200);
  expect((await ask(at, asked.root, 'POST', '/v1/access/off')).status).toBe(403);
  expect((await fetch(`${at}/v1/ns`)).status).toBe(401);
});

test('[A3.3] a rule of the stash is about one index, and neither about others nor about namespaces', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'waymark-access-'));
  ending.push(() => rmSync(directory, { recursive: true, force: true }));
  const engine = createMemoryEngine();
  const served = await start({ engine, access: true, stash: { directory } });
  const reader = await tokenFor(served, 'reader', { actions: ['read'], stash: 'mine' });
  const writer = await tokenFor(served, 'writer', { actions: ['read', 'write'], stash: 'mine' });
  const [read, write] = [await as(served.url, reader), await as(served.url, writer)];
  await write.stash.index('mine').put('k', 1);
  expect(await read.stash.index('mine').get('k')).toBe(1);
  expect(await codeOf(read.stash.index('mine').put('k', 2))).toBe('denied');
  for (const call of [
    write.stash.index('theirs').put('k', 1),
    write.stash.index('theirs').get('k'),
    write.namespace('default').get('/mine'),
    write.stash.repair(),
  ]) {
    expect(await codeOf(call)).toBe('denied');
  }
  const root = await as(served.url, served.root);
  await root.stash.index('theirs').put('k', 1);
  expect(await root.stash.indexes()).toEqual(['mine', 'theirs']);
  expect(await read.stash.indexes()).toEqual(['mine']);
});

test('[A3.2] [A4.6] watchers are registered below the path of a rule that has watch too; those of others are not there', async () => {
  const served = await start({ engine: createMemoryEngine(), access: true, watchers: {} });
  const blind = await tokenFor(served, 'blind', { actions: ['watchers'], path: '/a' });
  const rule = { actions: ['watchers', 'watch'], path: '/a' };
  const seer = await tokenFor(served, 'seer', rule);
  const endpoint = 'http://127.0.0.1:9/hook';
  const add = async (token: string, pattern: string): Promise<string> =>
    await codeOf((await as(served.url, token)).watchers.add({ pattern, endpoint }));
  const other = await as(served.url, served.root);
  const theirs = await other.watchers.add({ pattern: '/b/*', endpoint });
  expect(await add(blind, '/a/*')).toBe('denied');
  expect(await add(seer, '/b/*')).toBe('denied');
  expect(await add(seer, '/*')).toBe('denied');
  expect(await add(seer, '/a/*')).toBe('done');
  const space = await as(served.url, seer);
  const listed = await space.watchers.list();
  expect(JSON.stringify(listed)).toContain('/a/*');
  expect(JSON.stringify(listed)).not.toContain('/b/*');
  const { id } = theirs.watcher;
  expect(await space.watchers.get(id)).toBeNull();
  expect(await space.watchers.remove(id)).toBe(false);
  expect(await codeOf(space.watchers.pause(id))).toBe('not_found');
  for (const call of [
    space.watchers.processors(),
    space.watchers.mode(),
    space.watchers.setMode({ by: 'kind' }),
    space.watchers.reseal(),
  ]) {
    expect(await codeOf(call)).toBe('denied');
  }
  expect(await other.watchers.get(id)).toMatchObject({ id, pattern: '/b/*' });
});

test('[A3.6] who may register watchers shares an endpoint of others by showing what it has, and changes nothing of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-access-'));
  ending.push(() => rmSync(folder, { recursive: true }));
  const served = await start({
    engine: `file:${join(folder, 'data')}`,
    ...{ access: true, watchers: {} },
  });
  const { root, url } = served;
  const seer = await tokenFor(served, 'seer', { actions: ['watchers', 'watch'], path: '/a' });
  const [other, space] = [await as(url, root), await as(url, seer)];
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  const at = (account: string): string => `http://${account}127.0.0.1:9/hook`;
  await other.watchers.add({ pattern: '/b/*', endpoint: at('u:right@'), secret });
  const add = (account: string, more: object = {}): Promise<string> =>
    codeOf(space.watchers.add({ pattern: '/a/*', endpoint: at(account), ...more }));
  expect(await add('u:wrong@', { secret })).toBe('conflict');
  expect(await add('u@', { secret })).toBe('conflict');
  expect(await add('u:right@')).toBe('conflict');
  expect(await add('u:right@', { secret: `whsec_${Buffer.alloc(32, 2).toString('base64')}` })).toBe(
    'conflict',
  );
  expect(await add('u:right@', { secret, batch: 7 })).toBe('conflict');
  expect(await add('u:right@', { secret })).toBe('done');
  expect(await codeOf(other.watchers.add({ pattern: '/b/*', endpoint: at('u:next@') }))).toBe(
    'done',
  );
  expect(await add('u:right@', { secret }), 'root had it changed for all').toBe('conflict');
  expect(await add('u:next@', { secret })).toBe('done');
});

test.each(['http://127.0.0.1:9/hook?token=s3cret', 'http://u:right@127.0.0.1:9/hook'])(
  '[A3.6] what %s was told in all is shown to who may see all of its watchers',
  async (endpoint) => {
    const folder = mkdtempSync(join(tmpdir(), 'waymark-access-'));
    ending.push(() => rmSync(folder, { recursive: true }));
    const engine = `file:${join(folder, 'data')}`;
    const served = await start({ engine, ...{ access: true, watchers: {} } });
    const seer = await tokenFor(served, 'seer', { actions: ['watchers', 'watch'], path: '/a' });
    const [other, space] = [await as(served.url, served.root), await as(served.url, seer)];
    const figures = async (by: Space, id: string): Promise<unknown[]> => {
      const { watchers } = by;
      const added = await watchers.add({ pattern: '/a/1', endpoint });
      const page = await watchers.list();
      const told = [
        added.watcher,
        page.watchers.find((one) => one.id === id),
        await watchers.get(id),
        await watchers.pause(id),
        await watchers.resume(id),
      ];
      return told.flatMap((info) => {
        const { delivered, perSecond, deadLetters } = info?.delivery ?? {};
        return [delivered, perSecond, deadLetters];
      });
    };
    const { watcher } = await space.watchers.add({ pattern: '/a/1', endpoint });
    expect(await figures(space, watcher.id)).toEqual(Array.from({ length: 15 }, () => 0));
    const theirs = await other.watchers.add({ pattern: '/b/*', endpoint });
    expect(await figures(space, watcher.id)).toEqual(Array.from({ length: 15 }, () => null));
    expect(await figures(other, watcher.id)).toEqual(Array.from({ length: 15 }, () => 0));
    await other.watchers.remove(theirs.watcher.id);
    expect(await figures(space, watcher.id)).toEqual(Array.from({ length: 15 }, () => 0));
  },
);

test('[A4.6] no page of watchers tells of those that are left out', async () => {
  const served = await start({ engine: createMemoryEngine(), access: true, watchers: {} });
  const seer = await tokenFor(served, 'seer', { actions: ['watchers', 'watch'], path: '/a' });
  const [other, space] = [await as(served.url, served.root), await as(served.url, seer)];
  const endpoint = 'http://127.0.0.1:9/hook';
  const add = async (by: Space, pattern: string): Promise<string> =>
    (await by.watchers.add({ pattern, endpoint, labels: { team: 'x' } })).watcher.id;
  const theirs: string[] = [];
  for (let i = 0; i < 8; i++) theirs.push(await add(other, `/b/${i}`));
  const mine = [await add(space, '/a/1'), await add(space, '/a/2')].toSorted();
  for (const call of [{}, { label: 'team' }, { endpoint }, { endpoint: mine[1] }]) {
    const first = await space.watchers.list({ ...call, limit: 1 });
    expect([first.watchers.map(({ id }) => id), first.more]).toEqual([mine.slice(0, 1), true]);
    const rest = await space.watchers.list({ ...call, limit: 1, after: mine[0] });
    expect([rest.watchers.map(({ id }) => id), rest.more]).toEqual([mine.slice(1), false]);
    for (const after of ['0'.repeat(64), mine[1] as string]) {
      const told = await space.watchers.list({ ...call, limit: 5, after });
      expect(told.more).toBe(false);
    }
  }
  const sharing = async (by: Space, id: string): Promise<number> =>
    (await by.watchers.list({ endpoint: id })).watchers.length;
  expect(await sharing(other, mine[0] as string)).toBe(10);
  expect(await sharing(space, theirs[0] as string)).toBe(0);
  expect(await sharing(other, '0'.repeat(64))).toBe(0);
  await using host = await connectHost(served.url, { token: seer });
  for (const ask of ['null', '[', '{"pattern":1}', '{"namespace":{}}']) {
    expect(await codeOf(host.run(watcherCalls.add, 'default', { ask }))).toBe('invalid');
  }
});
