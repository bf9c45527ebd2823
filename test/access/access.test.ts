import { once } from 'node:events';
import { type ClientRequest, request as ask } from 'node:http';
import { startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
import { connectHost, createMemoryEngine, systemClock, systemRandom } from 'waymark/engine';
import { Watch } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EtcdApi } from '../etcd/client.js';

/** What is open when a right ends, what is kept of tokens, and what the audit log says. */

interface World extends AsyncDisposable {
  readonly url: string;
  readonly lines: string[];
  readonly stored: () => Promise<string>;
  readonly as: (token: string) => Promise<Space>;
  readonly ask: (method: string, path: string, body?: object, token?: string) => Promise<Response>;
  /** A token of a user whose role permits this below `/a` of the namespace `etcd`. */
  readonly tokenFor: (actions: readonly string[]) => Promise<{ token: string; id: string }>;
}

async function world(on = true): Promise<World> {
  const engine = createMemoryEngine({ clock: systemClock, random: systemRandom });
  const lines: string[] = [];
  let root = '';
  const server = await startServer({
    ...{ engine, access: on, logLevel: 'silent', watchers: false, stash: false },
    listen: ['127.0.0.1:0'],
    firstToken: (token) => (root = token),
    audit: (line) => void lines.push(line),
  });
  const url = `http://${server.addresses[0]}`;
  const spaces: Space[] = [];
  const ask: World['ask'] = (method, path, body, token = root) =>
    fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return {
    ...{ url, lines, ask },
    stored: async () => JSON.stringify(await engine.read({ key: '', end: '' })),
    async as(token) {
      const space = await open(url, { token });
      spaces.push(space);
      return space;
    },
    async tokenFor(actions) {
      const rule = { actions, namespace: 'etcd', path: '/a' };
      await ask('POST', '/v1/access/roles/r/rules', rule);
      const made = await ask('POST', '/v1/access/tokens', { user: 'u', roles: ['r'] });
      return (await made.json()) as { token: string; id: string };
    },
    async [Symbol.asyncDispose]() {
      for (const space of spaces) await space.close().catch(() => undefined);
      await server.close();
    },
  };
}

/** How long until it is over, in ms. */
async function lasted(over: Promise<unknown>): Promise<number> {
  const since = systemClock.now();
  await over;
  return systemClock.now() - since;
}

test('[A5.2] watches of every kind end within a second of the token that they were opened by', async () => {
  await using here = await world();
  const { token, id } = await here.tokenFor(['read', 'watch']);
  const space = await here.as(token);
  const binary = (async () => {
    for await (const event of space.namespace('etcd').watch('/a')) void event;
  })().then(
    () => 'ended',
    (error: { code: string }) => error.code,
  );
  const sse = await here.ask('GET', '/v1/ns/etcd/watch/a', undefined, token);
  expect(sse.status).toBe(200);
  const told = sse.text();
  const socket = new WebSocket(`${here.url.replace('http', 'ws')}/v1/ns/etcd/watch/a`, [
    'waymark',
    `waymark.bearer.${token}`,
  ]);
  await new Promise((resolve) => (socket.onopen = resolve));
  expect(socket.protocol, 'the token is not told on').toBe('waymark');
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  using api = new EtcdApi(here.url.slice('http://'.length), { token });
  const stream = api.stream(Watch.method.watch);
  const refused = new Promise((resolve) => stream.on('error', resolve));
  const create = { key: Buffer.from('/a/b') };
  stream.write({ requestUnion: { case: 'createRequest', value: create } });
  await new Promise((resolve) => stream.once('data', resolve));
  stream.resume();
  const ended = Promise.all([binary, told, closed, refused]);
  await here.ask('DELETE', `/v1/access/tokens/${id}`);
  expect(await lasted(ended)).toBeLessThan(1_000);
  expect(await binary).toBe('unauthenticated');
  expect(await told).toContain('unauthenticated');
});

test('[A5.2] a watch ends when its rule does, and one that is permitted still goes on', async () => {
  await using here = await world();
  const { token } = await here.tokenFor(['read', 'watch', 'write']);
  const space = await here.as(token);
  const ns = space.namespace('etcd');
  const watch = ns.watch('/a')[Symbol.asyncIterator]();
  const first = watch.next();
  await ns.put('/a', 1);
  expect(await first).toMatchObject({ value: { kind: 'put', path: '/a' } });
  const next = watch.next().catch((error: { code: string }) => error.code);
  await here.ask('POST', '/v1/access/roles/r/rules', {
    actions: ['lock'],
    namespace: 'etcd',
    path: '/b',
  });
  await ns.put('/a', 2);
  expect(await next).toMatchObject({ value: { entry: { value: 2 } } });
  const last = watch.next().catch((error: { code: string }) => error.code);
  await here.ask('DELETE', '/v1/access/roles/r/rules?namespace=etcd&path=/a');
  expect(await lasted(last)).toBeLessThan(1_000);
  expect(await last).toBe('denied');
});

test('[A5.2] what was opened while access was off ends once it is on; with a token it comes back, to what its rules permit', async () => {
  await using here = await world(false);
  const { token } = await here.tokenFor(['write']);
  const [known, nobody] = [await here.as(token), await here.as('')];
  for (const space of [known, nobody]) await space.namespace('etcd').put('/b', 1);
  expect((await here.ask('POST', '/v1/access/on')).status).toBe(200);
  const codeOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
  expect(await codeOf(nobody.namespace('etcd').put('/b', 2))).toBe('unauthenticated');
  await expect.poll(() => codeOf(known.namespace('etcd').put('/a', 2))).toBe('done');
  expect(await codeOf(known.namespace('etcd').put('/b', 2))).toBe('denied');
});

test('[A2.1] [A2.3] [A7.2] a token is kept as its hash alone, ends at its time, and stands in no line of the log', async () => {
  await using here = await world();
  const made = await here.ask('POST', '/v1/access/tokens', { user: 'x', ttlMs: 1_000 });
  const { token } = (await made.json()) as { token: string };
  expect(made.headers.get('cache-control')).toBe('no-store');
  const secret = token.split('_').slice(2).join('_');
  expect(await here.stored()).not.toContain(secret);
  expect((await here.ask('GET', '/v1/ns', undefined, token)).status).toBe(200);
  const space = await here.as(token);
  const gone = new Promise<void>((resolve) => {
    const look = async (): Promise<void> => {
      const code = await space.status().then(
        () => null,
        (error: { code: string }) => error.code,
      );
      if (code === null) return void systemClock.after(20, () => void look());
      expect(code).toBe('unauthenticated');
      resolve();
    };
    void look();
  });
  expect(await lasted(gone)).toBeLessThan(3_000);
  expect((await here.ask('GET', '/v1/ns', undefined, token)).status).toBe(401);
  expect(here.lines.join('')).not.toContain(secret);
});

test('[A7.1] [A7.2] what a path holds is one line of the audit log, whatever it is', async () => {
  await using here = await world();
  const { token } = await here.tokenFor(['read']);
  const crooked = '/secret\n{"audit":true,"who":"root"}\u2028\u001b[2J';
  await here.ask('GET', `/v1/ns/etcd/keys${encodeURI(crooked)}`, undefined, token);
  const refused = here.lines.filter((line) => line.includes('"refused"'));
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatch(/^[\x20-\x7e]*\n$/);
  expect(JSON.parse(refused[0] as string)).toMatchObject({
    ...{ event: 'refused', who: 'u', action: 'read', namespace: 'etcd', code: 'denied' },
    path: crooked,
  });
});

test('[A4.6] what becomes of a namespace is told to who has anything to do with it', async () => {
  await using here = await world();
  const { token } = await here.tokenFor(['read']);
  await using host = await connectHost(here.url, { token });
  const audit = { key: 'w/audit/', end: 'w/audit0' };
  const opened = (namespace: string): Promise<unknown> =>
    host
      .watch(namespace, [audit])
      [Symbol.asyncIterator]()
      .next()
      .then(
        () => 'opened',
        (error: { code: string }) => error.code,
      );
  expect(await opened('etcd')).toBe('opened');
  expect(await opened('hidden')).toBe('denied');
});

test('[A5.2] an ack moves a cursor no more once its reader may not', async () => {
  await using here = await world();
  const rule = (path: string): Promise<Response> =>
    here.ask('POST', '/v1/access/roles/r/rules', {
      actions: ['read', 'watch'],
      namespace: 'etcd',
      path,
    });
  await rule('/');
  const { token } = await here.tokenFor(['read', 'watch']);
  await here.ask('PUT', '/v1/ns/etcd/keys/a', { a: 1 });
  const url = `${here.url.replace('http', 'ws')}/v1/ns/etcd/watch/a?cursor=mine`;
  const socket = new WebSocket(url, ['waymark', `waymark.bearer.${token}`]);
  const id = await new Promise<string>((resolve) => {
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(String(data)) as { id?: string };
      if (told.id !== undefined) resolve(told.id);
    };
  });
  await here.ask('DELETE', '/v1/access/roles/r/rules?namespace=etcd&path=/');
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  socket.send(JSON.stringify({ ack: id }));
  expect(await closed).toBe(1008);
  expect(await here.stored()).not.toContain('r/u/etcd/mine');
});

test('[A5.2] who may do everything no more does nothing by a request whose body it held back', async () => {
  await using here = await world();
  const made = await here.ask('POST', '/v1/access/tokens', { user: 'root' });
  const { token, id } = (await made.json()) as { token: string; id: string };
  const { hostname, port } = new URL(here.url);
  const answered = (
    path: string,
    body: object,
  ): { request: ClientRequest; status: Promise<number> } => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const request = ask({ ...{ hostname, port, path, headers }, method: 'POST' });
    const status = once(request, 'response').then(
      ([answer]) => (answer as { statusCode: number }).statusCode,
    );
    request.write(JSON.stringify(body).slice(0, 2));
    return { request, status };
  };
  const wish = { user: 'mallory', roles: ['root'] };
  const held = answered('/v1/access/tokens', wish);
  // The server has its head: one that came after it on another connection was answered.
  await here.ask('GET', '/v1/access');
  await here.ask('DELETE', `/v1/access/tokens/${id}`);
  held.request.end(JSON.stringify(wish).slice(2));
  expect(await held.status).toBe(401);
  expect(await here.stored()).not.toContain('mallory');
});

test('[A5.2] a backup that is read slowly goes no further than the right to it', async () => {
  await using here = await world();
  const body = 'v'.repeat(500_000);
  for (let i = 0; i < 20; i++) await here.ask('PUT', `/v1/ns/etcd/keys/${i}`, { body });
  const made = await here.ask('POST', '/v1/access/tokens', { user: 'root' });
  const { token, id } = (await made.json()) as { token: string; id: string };
  const backup = await here.ask('GET', '/v1/backup', undefined, token);
  expect(backup.status).toBe(200);
  await here.ask('DELETE', `/v1/access/tokens/${id}`);
  await expect(backup.text()).rejects.toThrow();
});
