import { open } from 'waymark';
import { createLocalHost, createMemoryEngine, type WatcherEvent } from 'waymark/engine';
import { expect, test } from 'vitest';
import { serve } from '../server/served.js';
import { spaceOver } from '../support/spaces.js';
import { startHttpReceiver } from '../support/http-receiver.js';
import { deskOver } from './desks.js';

test('[W5.1] a process without a server delivers nothing, and says so', async () => {
  await using space = await open();
  const refused = space.watchers.add({ pattern: '*', endpoint: 'http://127.0.0.1/' });
  await expect(refused).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('--no-watchers'),
  });
  await using server = await serve({ watchers: false });
  await using client = await open(server.base);
  await expect(client.watchers.list()).rejects.toMatchObject({ code: 'unavailable' });
});

test('[W5.1] every call of the library reaches the registry, in this process and over a server', async () => {
  const engine = createMemoryEngine();
  const host = createLocalHost(engine, { watchers: deskOver(engine) });
  await using embedded = spaceOver(engine, 'test', { host });
  await using server = await serve();
  await using remote = await open(server.base);
  for (const [space, endpoint] of [
    [embedded, 'sink://a'],
    [remote, 'http://u:canary@192.0.2.1/hook'],
  ] as const) {
    const { watchers } = space;
    const labels = { team: 'x', ['__proto__']: 'y' };
    const { watcher, created } = await watchers.add({ pattern: '/o/*', endpoint, labels });
    expect(created).toBe(true);
    const { id } = watcher;
    expect(await watchers.get(id)).toMatchObject({ id, state: 'active' });
    expect(await watchers.get('0'.repeat(64))).toBeNull();
    expect((await watchers.list({ label: '__proto__=y' })).watchers).toMatchObject([{ id }]);
    expect((await watchers.change(id, { owner: 'ann', lifetime: 'P1D' })).owner).toBe('ann');
    expect((await watchers.change(id, { lifetime: null })).expiresAt).toBeNull();
    expect((await watchers.pause(id)).state).toBe('paused');
    expect((await watchers.resume(id)).state).toBe('active');
    expect((await watchers.replay(id, { after: 'beginning' })).id).toBe(id);
    expect(await watchers.deadLetters(id)).toEqual({ letters: [], more: false });
    expect(await watchers.replayDeadLetters(id)).toBe(0);
    expect(await watchers.dropDeadLetters(id)).toBe(0);
    await watchers.setMode({ by: 'fixed', shares: 2 });
    expect(await watchers.mode()).toEqual({ by: 'fixed', shares: 2 });
    expect(await watchers.processors()).toBeInstanceOf(Array);
    const told = JSON.stringify([watcher, await watchers.list()]);
    expect(told).not.toContain('canary');
    expect(await watchers.remove(id)).toBe(true);
    expect(await watchers.remove(id)).toBe(false);
    await watchers.add({ pattern: '/o/*', endpoint, labels });
    expect(await watchers.removeLabelled('team=x')).toBe(1);
    await expect(watchers.change(id, { lifetime: Number.NaN })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(watchers.add(null as never)).rejects.toMatchObject({ code: 'invalid' });
  }
});

test('[W4.2] events are told as they happen, and a loop can be left', async () => {
  await using server = await serve();
  await using space = await open(server.base);
  const events = space.watchers.events();
  const told: WatcherEvent[] = [];
  const loop = (async () => {
    for await (const event of events) {
      told.push(event);
      if (event.kind === 'removed') break;
    }
  })();
  // The registry answers calls of one connection in their order.
  await space.watchers.mode();
  const { watcher } = await space.watchers.add({ pattern: '*', endpoint: 'http://192.0.2.1/' });
  await space.watchers.remove(watcher.id);
  await loop;
  expect(told.map(({ kind }) => kind)).toEqual(['registered', 'removed']);
  const again = space.watchers.events({ after: told[0]?.id });
  expect((await again.next()).value).toEqual(told[1]);
  const waiting = again.next();
  await again.return?.();
  expect(await waiting).toEqual({ value: undefined, done: true });
  const enough = new AbortController();
  const ended = space.watchers.events({ signal: enough.signal }).next();
  enough.abort(new Error('enough'));
  await expect(ended).rejects.toThrow('enough');
});

test('[W1.1] a server delivers what is registered, to networks that it allows alone', async () => {
  await using receiver = await startHttpReceiver();
  const endpoint = `http://user:canary@127.0.0.1:${receiver.port}/hook`;
  await using server = await serve({ watchers: { allowEndpointNet: ['127.0.0.0/8'] } });
  await using space = await open(server.base);
  const { watcher } = await space.watchers.add({ pattern: '/o/*', endpoint });
  await space.namespace('default').put('/o/1', { n: 1 });
  const heard = await receiver.next();
  expect(JSON.parse(heard.body.toString())).toMatchObject({ subject: '/o/1', data: { n: 1 } });
  expect(await space.watchers.test(watcher.id)).toMatchObject({ accepted: true });
  const metrics = (await server.call('GET', '/metrics')).text;
  expect(metrics).toMatch(/waymark_watchers_deliveries_total\{kind="http",outcome="accepted"\} \d/);
  expect(metrics).toContain('waymark_watchers_endpoints_held 1');
  expect(metrics).not.toContain('canary');

  await using guarded = await serve();
  await using other = await open(guarded.base);
  const refused = await other.watchers.add({ pattern: '/o/*', endpoint });
  const answer = await other.watchers.test(refused.watcher.id);
  expect(answer.accepted).toBe(false);
  expect(answer.error).toContain('--allow-endpoint-net');
});

test('[W6.2] a server that nobody registers anything with writes nothing', async () => {
  await using server = await serve();
  await using space = await open(server.base);
  await space.watchers.list();
  expect((await space.status()).revision).toBe(0);
});
