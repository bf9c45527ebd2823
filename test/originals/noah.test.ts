import { startServer } from '@waymark/server';
import { receivedDocument } from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import { createMemoryEngine, type Engine, ForwardingEngine } from 'waymark/engine';
import { type HttpReceiver, startHttpReceiver } from '../support/http-receiver.js';

/** The faults of Noah; the table of them is docs/spec/defects.md. */

const watchers = { allowEndpointNet: ['127.0.0.1/32'] };

interface Noah extends AsyncDisposable {
  readonly space: Space;
  readonly url: string;
  readonly receiver: HttpReceiver;
  readonly engine: Engine;
  hook(name?: string): string;
}

async function noah(engine: Engine = createMemoryEngine()): Promise<Noah> {
  const receiver = await startHttpReceiver();
  const server = await startServer({
    listen: ['127.0.0.1:0'],
    engine: new ForwardingEngine(engine),
    logLevel: 'silent',
    watchers,
  });
  const url = `http://${server.addresses[0]}`;
  const space = await open(url);
  return {
    space,
    url,
    receiver,
    engine,
    hook: (name = 'hook') => `http://127.0.0.1:${receiver.port}/${name}`,
    async [Symbol.asyncDispose]() {
      await space.close();
      await server.close();
      await receiver[Symbol.asyncDispose]();
    },
  };
}

async function heard(
  receiver: HttpReceiver,
  count: number,
): Promise<{ path: string; text: string }[]> {
  const told: { path: string; text: string }[] = [];
  while (told.length < count) {
    const { path, value } = receivedDocument((await receiver.next()).body.toString());
    told.push({ path, text: Buffer.from(value ?? []).toString() });
  }
  return told;
}

test('[noah 1] a payload that holds a pipe arrives whole', async () => {
  await using to = await noah();
  await to.space.watchers.add({ pattern: '/*', endpoint: to.hook() });
  const value = 'a|b||c //noah/hosts/x|{}|';
  await to.space.namespace('default').put('/pipe|d', value);
  expect(await heard(to.receiver, 1)).toEqual([{ path: '/pipe|d', text: JSON.stringify(value) }]);
});

test('[noah 2] the id of a watcher stands in a URL, whatever its pattern and endpoint hold', async () => {
  await using to = await noah();
  for (const pattern of ['//??>>*', '/a/b/c?d=e&f', '/ÿÿÿ/*']) {
    const { watcher } = await to.space.watchers.add({ pattern, endpoint: to.hook() });
    const response = await fetch(`${to.url}/v1/watchers/${watcher.id}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: watcher.id, pattern });
  }
});

test('[noah 3] a watch of web1 does not tell of web10', async () => {
  await using to = await noah();
  await to.space.watchers.add({ pattern: '/hosts/web1', endpoint: to.hook() });
  const ns = to.space.namespace('default');
  for (const path of ['/hosts/web10', '/hosts/web1/x', '/hosts/web', '/hosts/web1'])
    await ns.put(path, path);
  expect((await heard(to.receiver, 1)).map(({ path }) => path)).toEqual(['/hosts/web1']);
  await ns.put('/hosts/web1', 'again');
  expect((await heard(to.receiver, 1)).map(({ text }) => text)).toEqual(['"again"']);
});

test('[noah 4] with two servers each change is told once, in order, and again when it failed', async () => {
  const engine = createMemoryEngine();
  await using one = await noah(engine);
  await using two = await noah(engine);
  let failures = 0;
  one.receiver.answer = ({ response }) => {
    failures += 1;
    response.writeHead(failures % 5 === 0 ? 500 : 204).end();
  };
  await one.space.watchers.add({ pattern: '/*', endpoint: one.hook(), retry: [5, 5, 5, 5] });
  await two.space.watchers.add({ pattern: '/*', endpoint: one.hook() });
  const paths = Array.from({ length: 60 }, (_, n) => `/${n}`);
  for (const [n, path] of paths.entries()) {
    await (n % 2 === 0 ? one : two).space.namespace('default').put(path, n);
  }
  const told: string[] = [];
  for (let accepted = 0; accepted < paths.length;) {
    const request = await one.receiver.next();
    if (request.response.statusCode !== 204) continue;
    told.push(receivedDocument(request.body.toString()).path);
    accepted += 1;
  }
  expect(told).toEqual(paths);
});

test('[noah 5] what waited while an endpoint was down comes first in, first out', async () => {
  await using to = await noah();
  to.receiver.answer = ({ response }) => response.writeHead(503).end();
  const retry = Array.from({ length: 50 }, () => 20);
  await to.space.watchers.add({ pattern: '/*', endpoint: to.hook(), retry });
  const ns = to.space.namespace('default');
  for (let n = 0; n < 30; n++) await ns.put(`/${n}`, n);
  await to.receiver.next();
  to.receiver.answer = ({ response }) => response.writeHead(204).end();
  const paths: string[] = [];
  while (new Set(paths).size < 30) paths.push((await heard(to.receiver, 1))[0]?.path ?? '');
  expect([...new Set(paths)]).toEqual(Array.from({ length: 30 }, (_, n) => `/${n}`));
});

test('[noah 6] one bad endpoint holds up no other', async () => {
  await using to = await noah();
  // Nobody listens there; and one never answers.
  await to.space.watchers.add({ pattern: '/*', endpoint: 'http://127.0.0.1:1/' });
  to.receiver.answer = ({ url, response }) => {
    if (url !== '/hang') response.writeHead(204).end();
  };
  await to.space.watchers.add({ pattern: '/*', endpoint: to.hook('hang') });
  await to.space.watchers.add({ pattern: '/*', endpoint: to.hook('good') });
  for (let n = 0; n < 20; n++) await to.space.namespace('default').put(`/${n}`, n);
  const good: string[] = [];
  while (good.length < 20) {
    const { url, body } = await to.receiver.next();
    if (url === '/good') good.push(receivedDocument(body.toString()).path);
  }
  expect(good).toEqual(Array.from({ length: 20 }, (_, n) => `/${n}`));
});

test('[noah 7] labels are set, changed and taken away, and find their watchers', async () => {
  await using to = await noah();
  const { watchers: registry } = to.space;
  const labels = { team: 'billing', env: 'test' };
  const { watcher } = await registry.add({ pattern: '/*', endpoint: to.hook(), labels });
  const ids = async (label: string): Promise<string[]> =>
    (await registry.list({ label })).watchers.map(({ id }) => id);
  expect(await ids('team=billing')).toEqual([watcher.id]);
  await registry.change(watcher.id, { labels: { team: 'web' } });
  expect(await ids('team=billing')).toEqual([]);
  expect(await ids('env')).toEqual([]);
  expect(await ids('team=web')).toEqual([watcher.id]);
  expect(await registry.removeLabelled('team')).toBe(1);
  expect(await registry.get(watcher.id)).toBeNull();
});

test('[noah 8] mistakes of a client are 400 and say what is wrong; an empty list is a list', async () => {
  await using to = await noah();
  const list = await fetch(`${to.url}/v1/watchers`);
  expect(list.status).toBe(200);
  expect(await list.json()).toMatchObject({ watchers: [] });
  const headers = { 'content-type': 'application/json' };
  for (const body of [
    '{}',
    '{"pattern":"/*"}',
    '{"pattern":"/*","endpoint":"gopher://x/"}',
    'no json',
  ]) {
    const response = await fetch(`${to.url}/v1/watchers`, { method: 'POST', headers, body });
    expect(response.status, body).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid' });
  }
  const unknown = await fetch(`${to.url}/v1/watchers/${'0'.repeat(64)}`);
  expect(unknown.status).toBe(404);
});

test('[noah 9] created and known are told apart within the same millisecond', async () => {
  await using to = await noah();
  const wish = { pattern: '/*', endpoint: to.hook() };
  const added = await Promise.all(Array.from({ length: 10 }, () => to.space.watchers.add(wish)));
  expect(added.filter(({ created }) => created)).toHaveLength(1);
  expect(new Set(added.map(({ watcher }) => watcher.id)).size).toBe(1);
});

test('[noah 10] a lifetime ends, and so does a watcher of an endpoint that is dead', async () => {
  await using to = await noah();
  const { watchers: registry } = to.space;
  const short = await registry.add({ pattern: '/short', endpoint: to.hook(), lifetime: 1 });
  const dead = await registry.add({
    pattern: '/*',
    endpoint: 'http://127.0.0.1:1/',
    retry: [10, 10],
  });
  await to.space.namespace('default').put('/x', 1);
  const ended = new Map<string, string>();
  for await (const { kind, watchers: ids } of registry.events({ after: '0' })) {
    if (kind === 'expired' || kind === 'deregistered') for (const id of ids) ended.set(id, kind);
    if (ended.size === 2) break;
  }
  expect(ended.get(short.watcher.id)).toBe('expired');
  expect(ended.get(dead.watcher.id)).toBe('deregistered');
  expect((await registry.list()).watchers).toEqual([]);
}, 30_000);

test('[W5.3] a pool that grows from 10 to 20 and shrinks to 10 leaves 10 registrations by itself', async () => {
  await using to = await noah();
  const { watchers: registry } = to.space;
  const alive = new Set<string>();
  to.receiver.answer = ({ url, response }) => response.writeHead(alive.has(url) ? 204 : 410).end();
  const grow = async (from: number, till: number): Promise<void> => {
    for (let n = from; n < till; n++) {
      alive.add(`/pod-${n}`);
      await registry.add({ pattern: '/config/*', endpoint: to.hook(`pod-${n}`), retry: [20, 20] });
    }
  };
  await grow(0, 10);
  await grow(10, 20);
  expect((await registry.list()).watchers).toHaveLength(20);
  for (let n = 10; n < 20; n++) alive.delete(`/pod-${n}`);
  await to.space.namespace('default').put('/config/a', 1);
  let gone = 0;
  for await (const { kind, watchers: ids } of registry.events({ after: '0' })) {
    if (kind === 'deregistered') gone += ids.length;
    if (gone === 10) break;
  }
  const left = (await registry.list()).watchers.map(({ endpoint }) => endpoint);
  expect(left.map((one) => one.replace(/.*\//, '')).toSorted()).toEqual(
    Array.from({ length: 10 }, (_, n) => `pod-${n}`),
  );
}, 30_000);
