import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Engine } from 'waymark/engine';
import { stateKey } from '../../packages/server/src/watchers/keys.js';
import { decodeRecord, type StateRecord } from '../../packages/server/src/watchers/records.js';
import { chooseSeed, SeededRandom } from '../faults/random.js';
import { cutOff } from './cut-off.js';
import { enginesFor, type Ground, type Shared } from './engines.js';
import { process, type Running } from './processors.js';
import { register, setMode } from './registered.js';
import { failing, hanging, Sinks } from './sink.js';

const file = 'test/watchers/take-over.test.ts';

/** What is written down of an endpoint, once that processor has it. */
async function takenBy(
  engine: Engine,
  endpoint: string,
  { processor }: Running,
): Promise<StateRecord> {
  return await vi.waitFor(
    async () => {
      const { entries } = await engine.read({ key: stateKey(endpoint) });
      const state = decodeRecord<StateRecord>(entries[0]?.value ?? 'null');
      expect(state).toMatchObject({ processor: processor.tenure?.id ?? 'none yet' });
      return state;
    },
    { timeout: 10_000 },
  );
}

for (const { name, start } of enginesFor('taking endpoints over')) {
  describe(`over ${name}`, () => {
    let ground: Ground;
    let shared: Shared;

    beforeAll(async () => {
      ground = await start();
    });
    afterAll(async () => {
      await ground.stop();
    });
    beforeEach(() => {
      shared = ground.shared();
    });
    afterEach(async () => {
      await shared[Symbol.asyncDispose]();
    });

    test('[W1.6] one that is cut off is taken over, and its endpoints hear all, once in order, the tail perhaps twice', async () => {
      const seed = chooseSeed(file);
      const replay = `SEED=${seed} npx vitest run ${file}`;
      const random = new SeededRandom(seed);
      const sinks = new Sinks();
      const engine = await shared.open();
      const retry = Array.from({ length: 20 }, () => 5);
      const names = Array.from({ length: 12 }, (_, n) => `s${n}`);
      await using base = process(sinks, { engine, kinds: [] });
      const ns = base.space.namespace('default');
      for (const sink of names) {
        await register(engine, { sink, pattern: '/o/*', batch: 4, retry });
        await register(engine, { sink, pattern: '/o/*[02468]', batch: 4, retry });
        sinks.answer(sink, () => {
          if (random.next() < 0.05) void failing()({} as never, AbortSignal.abort());
        });
      }
      await using elsewhere = await ground.open();
      let written = 0;
      const write = async (count: number): Promise<void> => {
        for (const end = written + count; written < end; written++) {
          await ns.put(`/o/${written}`, written);
          // Where one server keeps several engines, revisions are passed over.
          if (written % 3 === 0)
            await elsewhere.commit({ apply: [{ type: 'put', key: 'k', value: '' }] });
        }
      };
      const alive: { running: Running; cut: () => void }[] = [];
      const begin = async (): Promise<void> => {
        const own = cutOff(await shared.open());
        alive.push({
          running: process(sinks, { engine: own, ttlMs: 1_000 }),
          cut: () => own.cut(),
        });
      };
      await begin();
      await begin();
      for (let round = 0; round < 6; round++) {
        await write(60);
        const [victim] = alive.splice(random.below(alive.length), 1);
        victim?.cut();
        await begin();
        await write(40);
        if (round % 2 === 0)
          await setMode(engine, round === 0 ? { by: 'kind' } : { by: 'fixed', shares: 5 });
        await victim?.running[Symbol.asyncDispose]();
      }
      const distinct = (sink: string): string[] => [...new Set(sinks.paths(sink))];
      const whole = (): boolean =>
        names.every((sink) => sinks.accepted(sink).length >= written) &&
        names.every((sink) => distinct(sink).length === written);
      await sinks.until(whole, 30_000).catch((error: unknown) => {
        throw new Error(
          `${String(error)}: ${names.map((sink) => distinct(sink).length).join(' ')} of ${written}; ${replay}`,
        );
      });
      for (const { running } of alive) await running[Symbol.asyncDispose]();
      for (const sink of names) {
        expect(distinct(sink), replay).toEqual(
          Array.from({ length: written }, (_, n) => `/o/${n}`),
        );
        let highest = '';
        for (const event of sinks.accepted(sink)) {
          // What is new follows what was told last; what is told again is of the last delivery.
          if (event.sequence > highest)
            expect(event.previous === highest || highest === '', replay).toBe(true);
          highest = event.sequence > highest ? event.sequence : highest;
        }
        expect(sinks.accepted(sink).length - written, replay).toBeLessThan(60);
      }
    }, 90_000);

    test('[W1.3] one that sleeps through its lease and wakes writes nothing', async () => {
      const sinks = new Sinks();
      const engine = await shared.open();
      const own = cutOff(await shared.open());
      await using sleeper = process(sinks, { engine: own, ttlMs: 1_000 });
      const { endpoint } = await register(engine, { retry: 'forever' });
      let answer = (): void => {};
      sinks.answer('a', () => new Promise<void>((resolve) => (answer = resolve)));
      const ns = sleeper.space.namespace('default');
      await ns.put('/1', 1);
      await sinks.begun(1);
      const wake = own.stop();
      sinks.answer('a', null);
      await using other = process(sinks, { engine: await shared.open(), ttlMs: 1_000 });
      await sinks.until(() => sinks.accepted('a').length === 1);
      // The first try is answered now, after all that.
      answer();
      wake();
      await other.space.namespace('default').put('/2', 2);
      await sinks.until(() => sinks.paths('a').includes('/2'));
      expect(sinks.paths('a')).toEqual(['/1', '/1', '/2']);
      const [zombie, ...later] = sinks.tried.map(({ delivery }) => delivery.fence);
      for (const fence of later) expect(fence).toBeGreaterThan(zombie ?? Infinity);
      const { entries } = await engine.read({ key: stateKey(endpoint) });
      const state = decodeRecord<StateRecord>(entries[0]?.value ?? 'null');
      expect(state.processor).toBe(other.processor.tenure?.id);
    }, 30_000);

    test('[W1.7] by pattern, processors agree on the shares whatever they hold: endpoints stay where they are', async () => {
      const sinks = new Sinks();
      const engine = await shared.open();
      await setMode(engine, { by: 'pattern', perPattern: 3 });
      const names = Array.from({ length: 5 }, (_, n) => `s${n}`);
      for (const sink of names) await register(engine, { sink, pattern: '/o/*' });
      await using one = process(sinks, { engine: await shared.open(), checkpointMs: 20 });
      await using two = process(sinks, { engine: await shared.open(), checkpointMs: 20 });
      const ns = one.space.namespace('default');
      for (let n = 1; n <= 60; n++) {
        await ns.put(`/o/${n}`, n);
        await sinks.until(() => names.every((sink) => sinks.accepted(sink).length >= n));
      }
      expect(two.failures).toEqual([]);
    }, 30_000);

    test('[W3.5] a checkpoint speaks for those that have nothing waiting, and for no others', async () => {
      const sinks = new Sinks();
      const engine = await shared.open();
      const own = cutOff(await shared.open());
      // Its checkpoint is one of the tenure that is cut off: on a busy machine a second may pass without a renewal.
      const first = process(sinks, { engine: own, ttlMs: 3_000, checkpointMs: 50 });
      const busy = await register(engine, { sink: 'busy', pattern: '/o/*' });
      const idle = await register(engine, { sink: 'idle', pattern: '/x/*' });
      await takenBy(engine, idle.endpoint, first);
      sinks.answer('busy', hanging);
      const ns = first.space.namespace('default');
      let revision = 0;
      for (let n = 0; n < 20; n++) ({ revision } = await ns.put(`/o/${n}`, n));
      await sinks.begun(1);
      // Over etcd it may be of the same revision: commits under way at once are one transaction there.
      for await (const { changes } of engine.watch([{ key: 'r/c/', end: 'r/c0' }], {
        after: revision - 1,
      })) {
        const told = changes.map(({ entry }) => JSON.parse(entry.value) as { revision: number });
        if (told.some((one) => one.revision >= revision)) break;
        // None is written where nothing else was.
        await ns.put('/y', 1);
      }
      own.cut();
      await first[Symbol.asyncDispose]();
      sinks.answer('busy', null);
      await using second = process(sinks, { engine: await shared.open(), ttlMs: 1_000 });
      await sinks.until(() => sinks.accepted('busy').length >= 20);
      expect(sinks.paths('busy')).toEqual(Array.from({ length: 20 }, (_, n) => `/o/${n}`));
      const { cursor } = await takenBy(engine, idle.endpoint, second);
      expect(cursor.revision).toBeGreaterThanOrEqual(revision);
      expect(second.failures).toEqual([]);
      expect(busy.endpoint).not.toBe(idle.endpoint);
    }, 30_000);
  });
}
