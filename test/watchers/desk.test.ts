import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createMemoryEngine,
  type Engine,
  systemClock,
  type WatcherDesk,
  type WatcherInfo,
} from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';
import { badWishes, goodWish as good } from './bad-wishes.js';
import { deskOver, opening } from './desks.js';
import { enginesFor, type Ground } from './engines.js';
import { process } from './processors.js';
import { digest } from './registered.js';
import { failing, Sinks } from './sink.js';

for (const { name, start } of enginesFor('the registry of watchers')) {
  describe(`over ${name}`, () => {
    let ground: Ground;
    let engine: Engine;
    let sinks: Sinks;
    let desk: WatcherDesk;

    beforeAll(async () => {
      ground = await start();
    });
    afterAll(async () => {
      await ground.stop();
    });
    beforeEach(async () => {
      engine = await ground.open();
      sinks = new Sinks();
      desk = deskOver(engine, sinks);
    });
    afterEach(async () => {
      await engine[Symbol.asyncDispose]();
    });

    const at = async (key: string): Promise<number> =>
      (await engine.read({ key })).entries[0]?.modRevision ?? 0;
    const keys = async (): Promise<string[]> =>
      (await engine.read({ key: 'r/', end: 'r0', keysOnly: true })).entries.map(({ key }) => key);

    test('[W5.1] the id is made of namespace, pattern and endpoint, without the password', async () => {
      const wish = { pattern: '/o/*', endpoint: 'SINK://a/' };
      const { watcher, created } = await desk.add(wish);
      expect(created).toBe(true);
      expect(watcher.id).toBe(digest('default\0/o/*\0sink://a:1/'));
      expect(watcher).toMatchObject({
        namespace: 'default',
        pattern: '/o/*',
        endpoint: 'sink://a:1/',
        kind: 'sink',
        state: 'active',
        expiresAt: null,
        owner: '',
        labels: {},
        retry: 'default',
        end: 'deregister',
        batch: 1,
        format: 'structured',
        signed: false,
        timeoutMs: 15_000,
      });
      expect(watcher.delivery).toMatchObject({ delivered: 0, attempts: 0, processor: null });
      const other = await desk.add({ ...wish, namespace: 'other' });
      expect(other.watcher.id).not.toBe(watcher.id);
      expect(await desk.get(watcher.id)).toEqual({ ...watcher, delivery: expect.anything() });
    });

    test('[W5.1] registering the same again changes nothing that it does not name', async () => {
      const wish = { pattern: '/o/*', endpoint: 'sink://a' };
      const named = { owner: 'ann', labels: { team: 'x' }, lifetime: 60, batch: 5, retry: [10] };
      const first = await desk.add({ ...wish, ...named });
      const { id } = first.watcher;
      const endpoint = digest('sink://a:1');
      const [live, shared] = [await at(`r/l/${id}`), await at(`r/e/${endpoint}`)];
      const second = await desk.add(wish);
      expect(second.created).toBe(false);
      expect(second.watcher).toEqual({ ...first.watcher, delivery: expect.anything() });
      expect(await at(`r/l/${id}`)).toBe(live);
      expect(await at(`r/e/${endpoint}`)).toBeGreaterThan(shared);
      const third = await desk.add({ ...wish, owner: 'bob', lifetime: 'PT1H', batch: 7 });
      expect(third.watcher).toMatchObject({
        owner: 'bob',
        labels: { team: 'x' },
        batch: 7,
        retry: [10],
      });
      expect(third.watcher.expiresAt).toBeGreaterThan(first.watcher.expiresAt ?? Infinity);
      expect((await keys()).filter((key) => key.startsWith('r/w/'))).toHaveLength(1);
    });

    test('[W5.1] twenty who register the same at once get the same, and one of them creates it', async () => {
      const wish = { pattern: '/o/*', endpoint: 'sink://a' };
      const desks = Array.from({ length: 20 }, () => deskOver(engine, sinks));
      const added = await Promise.all(desks.map((one) => one.add(wish)));
      expect(new Set(added.map(({ watcher }) => watcher.id)).size).toBe(1);
      expect(added.filter(({ created }) => created)).toHaveLength(1);
    });

    test('[W5.1] options that others share are a conflict at registration, and changed for all', async () => {
      const one = await desk.add({ pattern: '/a', endpoint: 'sink://a', batch: 5 });
      const two = await desk.add({ pattern: '/b', endpoint: 'sink://a' });
      expect(two.watcher.batch).toBe(5);
      const refused = desk.add({ pattern: '/b', endpoint: 'sink://a', batch: 6 });
      await expect(refused).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringMatching(/batch.*change/),
      });
      await desk.change(two.watcher.id, { batch: 6 });
      expect((await desk.get(one.watcher.id))?.batch).toBe(6);
    });

    test('[W5.1] another password is kept, and shown nowhere', async () => {
      const { watcher } = await desk.add({ pattern: '/a', endpoint: 'sink://u:canary1@a' });
      const again = await desk.add({ pattern: '/a', endpoint: 'sink://u:canary2@a' });
      expect(again.created).toBe(false);
      expect(again.watcher.id).toBe(watcher.id);
      const endpoint = digest('sink://u@a:1');
      const [entry] = (await engine.read({ key: `r/e/${endpoint}` })).entries;
      const { sealed } = JSON.parse(entry?.value ?? '') as { sealed: string };
      const opened = Buffer.from(sealed.split(':')[1] ?? '', 'base64').toString();
      expect(JSON.parse(opened)).toMatchObject({ uri: 'sink://u:canary2@a' });
      const { entries } = await engine.read({ key: 'r/', end: 'r0' });
      const told = JSON.stringify([entries, await desk.list()]);
      expect(told).not.toContain('canary');
    });

    test('[W5.1] secrets are kept, and shown nowhere', async () => {
      const secret = `whsec_${Buffer.from('a canary, of 24 bytes and more').toString('base64')}`;
      const added = await desk.add({ pattern: '/a', endpoint: 'sink://a', secret });
      expect(added.watcher.signed).toBe(true);
      expect(JSON.stringify([added, await desk.list()])).not.toContain('whsec_');
      const keyless = deskOver(engine, sinks, { sealer: null });
      await expect(
        keyless.add({ pattern: '/b', endpoint: 'sink://b', secret }),
      ).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('--secrets-key-file'),
      });
      expect((await keyless.add({ pattern: '/b', endpoint: 'sink://b' })).created).toBe(true);
    });

    test('[W5.1] what covers what is told', async () => {
      const all = await desk.add({ pattern: '*', endpoint: 'sink://a' });
      const some = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
      expect(some).toMatchObject({ covers: [], coveredBy: [all.watcher.id] });
      const again = await desk.add({ pattern: '*', endpoint: 'sink://a' });
      expect(again).toMatchObject({ covers: [some.watcher.id], coveredBy: [] });
      const elsewhere = await desk.add({ pattern: '/o/*', endpoint: 'sink://b' });
      expect(elsewhere).toMatchObject({ covers: [], coveredBy: [] });
    });

    test('[W5.2] a watcher whose lifetime has ended is no more, and a new one when it is registered again', async () => {
      let now = 1_000_000;
      const clock = { ...systemClock, wallNow: () => now };
      desk = deskOver(engine, sinks, { clock });
      const wish = { pattern: '/a', endpoint: 'sink://a', lifetime: 60, owner: 'ann' };
      const { watcher } = await desk.add(wish);
      expect(watcher.expiresAt).toBe(1_060_000);
      expect((await desk.change(watcher.id, { lifetime: 120 })).expiresAt).toBe(1_120_000);
      expect((await desk.change(watcher.id, { lifetime: null })).expiresAt).toBeNull();
      await desk.change(watcher.id, { lifetime: 1 });
      now += 1_000;
      expect(await desk.get(watcher.id)).toBeNull();
      expect(await desk.list()).toEqual({ watchers: [], more: false });
      await expect(desk.change(watcher.id, { owner: 'x' })).rejects.toMatchObject({
        code: 'not_found',
      });
      const again = await desk.add({ pattern: '/a', endpoint: 'sink://a' });
      expect(again.created).toBe(true);
      expect(again.watcher).toMatchObject({ id: watcher.id, owner: '', registeredAt: now });
    });

    test('[W5.3] with the last watcher its endpoint goes, and both can come again', async () => {
      const one = await desk.add({ pattern: '/a', endpoint: 'sink://a', from: 'beginning' });
      const two = await desk.add({ pattern: '/b', endpoint: 'sink://a' });
      expect(await desk.remove(one.watcher.id)).toBe(true);
      expect(await desk.remove(one.watcher.id)).toBe(false);
      const endpoint = digest('sink://a:1');
      expect(await keys()).toContain(`r/e/${endpoint}`);
      expect(await desk.remove(two.watcher.id)).toBe(true);
      const left = (await keys()).filter((key) => !key.startsWith('r/v/'));
      expect(left).toEqual([]);
      expect((await desk.add({ pattern: '/a', endpoint: 'sink://a' })).created).toBe(true);
    });

    test('[W5.3] the last two that go at once leave no endpoint', async () => {
      for (let round = 0; round < 20; round++) {
        const one = await desk.add({ pattern: '/a', endpoint: 'sink://a' });
        const two = await desk.add({ pattern: '/b', endpoint: 'sink://a' });
        const ids = [one.watcher.id, two.watcher.id];
        await Promise.all(ids.map((id) => deskOver(engine, sinks).remove(id)));
        expect((await keys()).filter((key) => !key.startsWith('r/v/'))).toEqual([]);
      }
    });

    test('[W5.1] lists go by pages, and by namespace, label and endpoint', async () => {
      for (let n = 0; n < 25; n++) {
        const labels = { team: n % 2 === 0 ? 'even' : 'odd', ['__proto__']: 'x' };
        const namespace = n < 20 ? 'default' : 'other';
        await desk.add({ namespace, pattern: `/${n}`, endpoint: `sink://s${n % 3}`, labels });
      }
      const found: WatcherInfo[] = [];
      for (let after: string | undefined; ;) {
        const { watchers, more } = await desk.list({ limit: 10, after });
        found.push(...watchers);
        after = watchers.at(-1)?.id;
        if (!more) break;
      }
      expect(found).toHaveLength(25);
      expect(found.map(({ id }) => id)).toEqual(found.map(({ id }) => id).toSorted());
      expect(Object.keys(found[0]?.labels ?? {}).toSorted()).toEqual(['__proto__', 'team']);
      const count = async (call: object): Promise<number> =>
        (await desk.list(call)).watchers.length;
      expect(await count({ namespace: 'other' })).toBe(5);
      expect(await count({ label: 'team=odd' })).toBe(12);
      expect(await count({ label: 'team' })).toBe(25);
      expect(await count({ label: '__proto__=x' })).toBe(25);
      expect(await count({ label: 'constructor' })).toBe(0);
      expect(await count({ endpoint: 'sink://any:password@s1' })).toBe(0);
      expect(await count({ endpoint: 'sink://s1' })).toBe(8);
      expect(await count({ endpoint: 'sink://s1', label: 'team=odd', limit: 2 })).toBe(2);
      expect(await desk.removeLabelled('team=odd')).toBe(12);
      expect(await count({})).toBe(13);
    });

    test('[W5.2] what becomes of watchers is told in order, from where one was', async () => {
      const { after, events: none } = await desk.eventsAfter({ limit: 10, waitMs: 0 });
      expect(none).toEqual([]);
      const waiting = desk.eventsAfter({ after, limit: 10, waitMs: 10_000 });
      const { watcher } = await desk.add({ pattern: '/a', endpoint: 'sink://u:canary@a' });
      const first = await waiting;
      expect(first.events).toMatchObject([{ kind: 'registered', watchers: [watcher.id] }]);
      await desk.change(watcher.id, { owner: 'x' });
      await desk.pause(watcher.id);
      await desk.pause(watcher.id);
      await desk.resume(watcher.id);
      await desk.replay(watcher.id, { after: 'beginning' });
      await desk.setMode({ by: 'kind' });
      await desk.remove(watcher.id);
      const kinds: string[] = [];
      for (let from = first.after; ;) {
        const next = await desk.eventsAfter({ after: from, limit: 2, waitMs: 0 });
        if (next.events.length === 0) break;
        kinds.push(...next.events.map(({ kind }) => kind));
        expect(next.after > from).toBe(true);
        from = next.after;
        expect(JSON.stringify(next.events)).not.toContain('canary');
      }
      expect(kinds).toEqual(['changed', 'paused', 'resumed', 'replay', 'mode', 'removed']);
      expect(await desk.mode()).toEqual({ by: 'kind' });
    });

    test('[W5.1] a wait for events ends by its time and by its signal', async () => {
      const { after } = await desk.eventsAfter({ limit: 10, waitMs: 0 });
      expect(await desk.eventsAfter({ after, limit: 10, waitMs: 5 })).toEqual({
        events: [],
        after,
      });
      const signal = AbortSignal.abort(new Error('enough'));
      const ended = desk.eventsAfter({ after, limit: 10, waitMs: 60_000, signal });
      await expect(ended).rejects.toThrow('enough');
    });

    test('[W2.5] `from` begins in the past, and the future is refused', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const ns = running.space.namespace('default');
      await ns.put('/o/1', 1);
      const { revision } = await ns.put('/o/2', 2);
      await desk.add({ pattern: '/o/*', endpoint: 'sink://a', from: 'beginning' });
      await desk.add({ pattern: '/o/*', endpoint: 'sink://b', from: revision - 1 });
      await ns.put('/o/3', 3);
      await sinks.until(() => sinks.accepted('a').length === 3 && sinks.accepted('b').length === 2);
      expect(sinks.paths('a')).toEqual(['/o/1', '/o/2', '/o/3']);
      expect(sinks.paths('b')).toEqual(['/o/2', '/o/3']);
      const later = desk.add({ pattern: '/o/*', endpoint: 'sink://c', from: 1_000_000 });
      await expect(later).rejects.toMatchObject({ code: 'future_revision' });
    });

    test('[W2.5] what came while it was paused is told when it is resumed, and replays again', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const ns = running.space.namespace('default');
      const { watcher } = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
      await ns.put('/o/1', 1);
      await sinks.until(() => sinks.accepted('a').length === 1);
      expect((await desk.pause(watcher.id)).state).toBe('paused');
      await ns.put('/o/2', 2);
      await expect(desk.replay(watcher.id, { after: 'beginning' })).rejects.toMatchObject({
        code: 'conflict',
      });
      expect((await desk.resume(watcher.id)).state).toBe('active');
      await ns.put('/o/3', 3);
      await sinks.until(() => sinks.accepted('a').length === 3);
      expect(sinks.paths('a')).toEqual(['/o/1', '/o/2', '/o/3']);
      await desk.replay(watcher.id, { after: 'beginning' });
      await sinks.until(() => sinks.accepted('a').length === 6);
      expect(sinks.paths('a').slice(3)).toEqual(['/o/1', '/o/2', '/o/3']);
      const future = desk.replay(watcher.id, { after: 1_000_000 });
      await expect(future).rejects.toMatchObject({ code: 'future_revision' });
    });

    test('[W5.3] an endpoint whose processor has it goes with its last watcher, and delivers when it is back', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const ns = running.space.namespace('default');
      for (let round = 1; round <= 5; round++) {
        const { watcher } = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
        await ns.put('/o/1', round);
        await sinks.until(() => sinks.accepted('a').length === round);
        await desk.remove(watcher.id);
      }
      const sequences = sinks.accepted('a').map(({ sequence }) => sequence);
      expect(sequences).toEqual(sequences.toSorted());
      expect(running.failures).toEqual([]);
    });

    test('[W5.1] a probe is delivered in its turn, and says what came of it', async () => {
      await using _running = process(sinks, { engine, open: opening(sinks) });
      const { watcher } = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
      expect(await desk.test(watcher.id)).toMatchObject({ accepted: true, error: null });
      expect(sinks.accepted('a')).toMatchObject([{ kind: 'test', watchers: [watcher.id] }]);
      sinks.answer('a', failing());
      const refused = await desk.test(watcher.id);
      expect(refused).toMatchObject({ accepted: false, error: 'refused by the test' });
      expect((await keys()).filter((key) => key.startsWith('r/t/'))).toEqual([]);
    });

    test('[W5.1] a probe that no processor answers ends by its time', async () => {
      const hurried = {
        ...systemClock,
        after: (_ms: number, task: () => void, stay?: boolean) => systemClock.after(5, task, stay),
      };
      desk = deskOver(engine, sinks, { clock: hurried });
      const { watcher } = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
      await expect(desk.test(watcher.id)).rejects.toMatchObject({
        code: 'timeout',
        message: expect.stringContaining('no processor'),
      });
    });

    test('[W4.5] dead letters are read and dropped, and the status tells of them', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const wish = { pattern: '/o/*', endpoint: 'sink://a', retry: [5], end: 'keep' } as const;
      const { watcher } = await desk.add(wish);
      sinks.answer('a', failing());
      const { after } = await desk.eventsAfter({ limit: 1, waitMs: 0 });
      await running.space.namespace('default').put('/o/1', { n: 1 });
      await untilTold(desk, after, 'skipped');
      const { letters } = await desk.deadLetters(watcher.id, { limit: 1 });
      expect(letters).toMatchObject([
        {
          path: '/o/1',
          kind: 'put',
          attempts: 2,
          error: 'refused by the test',
          watchers: [watcher.id],
        },
      ]);
      expect(Buffer.from(letters[0]?.value ?? '', 'base64').toString()).toBe('{"n":1}');
      expect((await desk.get(watcher.id))?.delivery.deadLetters).toBeGreaterThan(0);
      sinks.answer('a', null);
      expect(await desk.replayDeadLetters(watcher.id)).toBe(1);
      await sinks.until(() => sinks.accepted('a').length === 1);
      expect(sinks.accepted('a')).toMatchObject([{ path: '/o/1', replay: true }]);
    });

    test('[W4.5] dead letters that are refused again keep the others, and what is new, from nothing', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const wish = { pattern: '/o/*', endpoint: 'sink://a', retry: [1], end: 'keep' } as const;
      const { watcher } = await desk.add(wish);
      const paths = Array.from({ length: 60 }, (_, n) => `/o/${n + 10}`);
      const refused = new Set(paths);
      sinks.answer('a', (delivery, signal) => {
        if (refused.has(delivery.events[0]?.path ?? '')) return failing()(delivery, signal);
      });
      const ns = running.space.namespace('default');
      for (const path of paths) await ns.put(path, 1);
      await expect
        .poll(async () => (await desk.get(watcher.id))?.delivery.deadLetters, { timeout: 20_000 })
        .toBe(paths.length);
      // More than a page of them are refused once more.
      for (const path of paths.slice(55)) refused.delete(path);
      expect(await desk.replayDeadLetters(watcher.id)).toBe(paths.length);
      await ns.put('/o/new', 1);
      await sinks.until(() => sinks.paths('a').includes('/o/new'), 20_000);
      expect(sinks.paths('a')).toEqual([...paths.slice(55), '/o/new']);
      expect((await desk.get(watcher.id))?.delivery.deadLetters).toBe(55);
    }, 60_000);

    test('[W4.5] dead letters that are dropped are told no more', async () => {
      const { watcher } = await desk.add({ pattern: '/o/*', endpoint: 'sink://a' });
      const endpoint = digest('sink://a:1');
      for (let n = 0; n < 3; n++) {
        const letter = { sequence: `${n}`, path: `/o/${n}`, watchers: [watcher.id] };
        const put = { type: 'put', key: `r/d/${endpoint}/${n}`, value: JSON.stringify(letter) };
        await engine.commit({ apply: [put as never] });
      }
      const first = await desk.deadLetters(watcher.id, { limit: 2 });
      expect(first).toMatchObject({ letters: [{ path: '/o/0' }, { path: '/o/1' }], more: true });
      const rest = await desk.deadLetters(watcher.id, { after: first.letters[1]?.id });
      expect(rest).toMatchObject({ letters: [{ path: '/o/2' }], more: false });
      expect(await desk.dropDeadLetters(watcher.id)).toBe(3);
      expect(await desk.replayDeadLetters(watcher.id)).toBe(0);
    });

    test('[W4.4] the status tells who delivers, how far, and what is wrong', async () => {
      await using running = process(sinks, { engine, open: opening(sinks) });
      const { watcher } = await desk.add({
        pattern: '/o/*',
        endpoint: 'sink://a',
        retry: [60_000],
      });
      const ns = running.space.namespace('default');
      const { revision } = await ns.put('/o/1', 1);
      await sinks.until(() => sinks.accepted('a').length === 1);
      sinks.answer('a', failing());
      const { after } = await desk.eventsAfter({ limit: 1, waitMs: 0 });
      await ns.put('/o/2', 2);
      await untilTold(desk, after, 'failing');
      const { delivery } = (await desk.get(watcher.id)) as WatcherInfo;
      expect(delivery).toMatchObject({
        attempts: 1,
        delivered: 1,
        lastError: 'refused by the test',
      });
      expect(delivery.cursor).toBe(revision);
      expect(delivery.lagRevisions).toBeGreaterThan(0);
      expect(delivery.nextTryAt).toBeGreaterThan(systemClock.wallNow() + 30_000);
      const [one] = await desk.processors();
      expect(one).toMatchObject({ id: delivery.processor, owner: 'test' });
    });
  });
}

async function untilTold(desk: WatcherDesk, from: string, kind: string): Promise<void> {
  for (let after = from; ;) {
    const next = await desk.eventsAfter({ after, limit: 100, waitMs: 20_000 });
    if (next.events.some((event) => event.kind === kind)) return;
    expect(next.after > after, `no ${kind}`).toBe(true);
    after = next.after;
  }
}

test.each(badWishes)('[W5.1] %s is refused before any work', async (_name, wish, part) => {
  const engine = createMemoryEngine();
  const refused = deskOver(engine).add(wish as never);
  await expect(refused).rejects.toMatchObject({
    code: expect.stringMatching(/^(invalid|too_large)$/),
    message: expect.stringMatching(part),
  });
  await expect(refused).rejects.not.toThrow('canary');
  expect((await engine.status()).revision).toBe(0);
});

test('[W5.2] lifetimes as they are written', async () => {
  const clock = { ...systemClock, wallNow: () => 0 };
  const desk = deskOver(createMemoryEngine(), new Sinks(), { clock });
  const written = {
    PT1S: 1,
    P7D: 604_800,
    PT1H30M: 5_400,
    P1W: 604_800,
    P1DT1M: 86_460,
    'PT1.5S': 1.5,
  };
  for (const [lifetime, seconds] of Object.entries(written)) {
    const { watcher } = await desk.add({ ...good, lifetime });
    expect(watcher.expiresAt, lifetime).toBe(seconds * 1_000);
  }
});

test('[W5.1] calls on what is no id, and on nothing, say so', async () => {
  const engine = createMemoryEngine();
  const desk = deskOver(engine);
  const none = '0'.repeat(64);
  expect(await desk.get(none)).toBeNull();
  expect(await desk.remove(none)).toBe(false);
  const calls = [desk.pause(none), desk.resume(none), desk.change(none, {}), desk.test(none)];
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'not_found' });
  for (const id of ['', 'x', '../../e', none.toUpperCase().replace('0', 'A')]) {
    await expect(desk.get(id)).rejects.toMatchObject({ code: 'invalid' });
    await expect(desk.remove(id)).rejects.toMatchObject({ code: 'invalid' });
  }
  await expect(desk.setMode({ by: 'mood' } as never)).rejects.toMatchObject({ code: 'invalid' });
  await expect(desk.setMode({ by: 'fixed', shares: 0 })).rejects.toMatchObject({ code: 'invalid' });
  await expect(desk.list({ limit: 0 })).rejects.toMatchObject({ code: 'invalid' });
  await expect(desk.list({ after: 'x' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(desk.list({ label: '=x' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(desk.eventsAfter({ after: 'x', limit: 1, waitMs: 0 })).rejects.toMatchObject({
    code: 'invalid',
  });
  expect((await engine.status()).revision).toBe(0);
});

test('[W6.2] nobody reaches the registry by a path', async () => {
  const engine = createMemoryEngine();
  const desk = deskOver(engine);
  await desk.add({ ...good, pattern: '*' });
  await using space = spaceOver(engine, 'test');
  const before = await engine.read({ key: 'r/', end: 'r0' });
  await space.removeNamespace('default');
  await space.namespace('r').put('/w/x', 1);
  expect((await engine.read({ key: 'r/', end: 'r0' })).entries).toEqual(before.entries);
});
