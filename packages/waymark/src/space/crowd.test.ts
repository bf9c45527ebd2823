import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BatchSink } from '../core/batch-sink.js';
import type { Batch, Engine } from '../core/engine.js';
import { systemClock as clock, systemRandom as random } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { recorded, type RecordedEvent } from '../wrap/recorded.js';
import { Crowds } from './crowd.js';
import { EventIterator } from './event-iterator.js';
import { createLocalHost } from './local-host.js';
import { createSpace } from './space.js';
import type { Namespace, Space, Watch as WatchOf, WatchEvent } from './types.js';
import type { EventGroups } from './watch.js';

type Watch = WatchOf<number>;

async function withNamespace(
  use: (
    ns: Namespace<number>,
    engine: Engine,
    watches: () => number,
    space: Space,
  ) => Promise<void>,
): Promise<void> {
  let open = 0;
  const count = (event: RecordedEvent): void => {
    if (event.type === 'call' && event.method === 'watch') open++;
    if (event.type === 'left') open--;
  };
  await using engine = createMemoryEngine();
  const host = createLocalHost(recorded(engine, count));
  await using space = createSpace(host, { clock, random, owner: 'test' });
  await use(space.namespace<number>('crowd'), engine, () => open, space);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => clock.nextTurn(resolve));

async function valueOf(step: Promise<IteratorResult<WatchEvent<number>>>): Promise<unknown> {
  const { value } = await step;
  return value?.kind === 'put' ? value.value : value?.kind;
}

/** Watches that have met: each has told what was there and one change after it, and waits. */
async function crowdOf(ns: Namespace<number>, count: number): Promise<Watch[]> {
  await ns.put('/a', 0);
  const watches = Array.from({ length: count }, () => ns.watch('/a'));
  for (const watch of watches) expect(await valueOf(watch.next())).toBe(0);
  const waiting = watches.map(async (watch) => await valueOf(watch.next()));
  await nextTurn();
  await ns.put('/a', 1);
  expect(await Promise.all(waiting)).toEqual(watches.map(() => 1));
  return watches;
}

test('[N6] watches of one path that wait together are one watch, and tell each of its readers everything', async () => {
  await withNamespace(async (ns, _engine, open) => {
    const watches = await crowdOf(ns, 50);
    const host = open() - 50;
    for (let value = 2; value < 10; value++) {
      const waiting = watches.map(async (watch) => await valueOf(watch.next()));
      await nextTurn();
      expect(open() - host).toBe(1);
      await ns.put('/a', value);
      expect(await Promise.all(waiting)).toEqual(watches.map(() => value));
    }
  });
});

test('[N6] one that is slower parts from the others, misses nothing, and meets them again', async () => {
  await withNamespace(async (ns, _engine, open) => {
    const watches = await crowdOf(ns, 3);
    const host = open() - 3;
    const [one, two, slow] = watches as [Watch, Watch, Watch];
    for (let value = 2; value < 30; value++) {
      const quick = [one, two].map(async (watch) => await valueOf(watch.next()));
      await nextTurn();
      await ns.put('/a', value);
      expect(await Promise.all(quick)).toEqual([value, value]);
    }
    for (let value = 2; value < 30; value++) expect(await valueOf(slow.next())).toBe(value);
    for (let value = 30; value < 33; value++) {
      const all = watches.map(async (watch) => await valueOf(watch.next()));
      await nextTurn();
      await ns.put('/a', value);
      expect(await Promise.all(all)).toEqual([value, value, value]);
    }
    expect(open() - host).toBe(1);
  });
});

test('[N6] one that parted knows what it had seen: what went while it slept over a compaction is told as gone', async () => {
  await withNamespace(async (ns, engine) => {
    await ns.put('/gone', 1);
    const watches: Watch[] = Array.from({ length: 3 }, () => ns.watch('/', { tree: true }));
    for (const watch of watches) expect(await valueOf(watch.next())).toBe(1);
    for (const value of [2, 3]) {
      const all = watches.map(async (watch) => await valueOf(watch.next()));
      await nextTurn();
      await ns.put('/stays', value);
      expect(await Promise.all(all)).toEqual([value, value, value]);
    }
    const [one, two, slow] = watches as [Watch, Watch, Watch];
    const quick = [one, two].map(async (watch) => await valueOf(watch.next()));
    await nextTurn();
    await ns.delete('/gone');
    expect(await Promise.all(quick)).toEqual(['delete', 'delete']);
    await ns.put('/after', 4);
    await engine.compact((await engine.status()).revision);
    const told = [await slow.next(), await slow.next(), await slow.next()];
    expect(told.map(({ value }) => `${value.kind} ${value.path}`)).toEqual([
      'resync /',
      'put /after',
      'delete /gone',
    ]);
  });
});

test('[N6] leaving ends what one waits for, and nobody else’s watch', async () => {
  await withNamespace(async (ns) => {
    const watches = await crowdOf(ns, 3);
    const [one, two, three] = watches as [Watch, Watch, Watch];
    const [first, second, third] = [one.next(), two.next(), three.next()];
    await two.return?.();
    await two.return?.();
    expect((await second).done).toBe(true);
    expect((await two.next()).done).toBe(true);
    await ns.put('/a', 2);
    expect(await valueOf(first)).toBe(2);
    expect(await valueOf(third)).toBe(2);
    await one.return?.();
    await three.return?.();
    expect((await one.next()).done).toBe(true);
  });
});

test('[N6] loops over one path are told the same, and leave alone', async () => {
  await withNamespace(async (ns, _engine, _open, space) => {
    await ns.put('/a', 0);
    const told: number[][] = [];
    const ends: string[] = [];
    const loop = async (index: number, leavesAt: number): Promise<void> => {
      const own: number[] = (told[index] = []);
      try {
        for await (const event of ns.watch('/a')) {
          if (event.kind !== 'put') continue;
          own.push(event.value);
          if (event.value === leavesAt) return;
        }
      } catch (error) {
        ends.push((error as { code: string }).code);
      }
    };
    const loops = [3, 5, Infinity, Infinity].map(async (at, index) => await loop(index, at));
    for (let value = 1; value < 8; value++) {
      while (told.some((own, index) => own.at(-1) !== value - 1 && [3, 5][index] !== own.at(-1))) {
        await nextTurn();
      }
      await ns.put('/a', value);
    }
    await Promise.all(loops.slice(0, 2));
    while (told[2]?.length !== 8 || told[3]?.length !== 8) await nextTurn();
    await space.removeNamespace('crowd');
    await Promise.all(loops);
    const all = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(told).toEqual([all.slice(0, 4), all.slice(0, 6), all, all]);
    expect(ends).toEqual(['superseded', 'superseded']);
  });
});

test('[N6] forEach tells each of many everything in order, and one that returns a promise is waited for, by itself alone', async () => {
  await withNamespace(async (ns, _engine, _open, space) => {
    await ns.put('/a', 0);
    const told: number[][] = [[], [], [], []];
    let free = (): void => undefined;
    const ends = told.map(async (own, index) => {
      await ns.watch('/a').forEach((event) => {
        if (event.kind !== 'put') return undefined;
        own.push(event.value);
        if (index !== 3 || event.value !== 2) return undefined;
        return new Promise<void>((resolve) => (free = resolve));
      });
    });
    const allTold = async (count: number, of: number): Promise<void> => {
      while (told.slice(0, of).some((own) => own.length < count)) await nextTurn();
    };
    for (let value = 1; value < 6; value++) {
      await allTold(value, value < 4 ? 4 : 3);
      await ns.put('/a', value);
    }
    await allTold(6, 3);
    expect(told[3]).toEqual([0, 1, 2]);
    free();
    await allTold(6, 4);
    await ns.put('/a', 6);
    await allTold(7, 4);
    await space.removeNamespace('crowd');
    const ended = await Promise.allSettled(ends);
    expect(ended.map((end) => end.status === 'rejected' && end.reason.code)).toEqual(
      told.map(() => 'superseded'),
    );
    expect(told).toEqual(told.map(() => [0, 1, 2, 3, 4, 5, 6]));
  });
});

test('[N6] forEach ends with what its function throws, or when the watch is left', async () => {
  await withNamespace(async (ns) => {
    await ns.put('/a', 0);
    const told: string[] = [];
    const [thrower, leaver, stays] = ['thrower', 'leaver', 'stays'].map(() => ns.watch('/a')) as [
      Watch,
      Watch,
      Watch,
    ];
    const note = (
      name: string,
      at: number,
      act: () => void,
    ): ((event: WatchEvent<number>) => void) => {
      return (event) => {
        if (event.kind !== 'put') return;
        told.push(`${name} ${event.value}`);
        if (event.value === at) act();
      };
    };
    const thrown = thrower.forEach(
      note('thrower', 2, () => {
        throw new Error('enough');
      }),
    );
    const left = leaver.forEach(note('leaver', 2, () => void leaver.return?.()));
    const staying = stays.forEach(note('stays', Infinity, () => undefined));
    for (let value = 1; value < 5; value++) {
      while (!told.includes(`stays ${value - 1}`)) await nextTurn();
      await ns.put('/a', value);
    }
    await expect(thrown).rejects.toThrow('enough');
    await left;
    while (!told.includes('stays 4')) await nextTurn();
    await stays.return?.();
    await staying;
    await ns.put('/a', 5);
    await nextTurn();
    expect(told.filter((line) => !line.startsWith('stays'))).toEqual([
      'thrower 0',
      'leaver 0',
      'thrower 1',
      'leaver 1',
      'thrower 2',
      'leaver 2',
    ]);
    expect(told.at(-1)).toBe('stays 4');
  });
});

test('[N6] forEach reads what is at hand without a deeper stack', async () => {
  const count = 50_000;
  let [told, given] = [0, 0];
  const batch: Batch = { revision: 1, changes: [] };
  const pulled = (sink: BatchSink): void => {
    if (++given <= count) sink.batch(batch);
  };
  const event = { kind: 'resync', path: '/', revision: 1, from: 0 } as const;
  const source = { batches: { pull: pulled }, keysSeen: 0, take: () => [event] };
  const groups = source as unknown as EventGroups<number>;
  const ended = new EventIterator(groups, { of: new Crowds<number>(clock), key: '' }).forEach(
    () => {
      told++;
    },
  );
  expect(told).toBe(count);
  await Promise.race([ended, nextTurn()]);
});

test('[N6] what ends the watch ends it for all who wait', async () => {
  await withNamespace(async (ns, _engine, _open, space) => {
    const watches = await crowdOf(ns, 3);
    const waiting = watches.map(async (watch) => await watch.next());
    await nextTurn();
    await space.removeNamespace('crowd');
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'superseded' });
    for (const watch of watches) expect((await watch.next()).done).toBe(true);
  });
});

type Step =
  | { readonly do: 'put' | 'delete'; readonly key: number }
  | { readonly do: 'read'; readonly watch: number; readonly count: number }
  | { readonly do: 'turn' | 'compact' };

const key = fc.nat(4);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      watch: fc.nat(3),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
);

/** Reads a watch at its own pace and keeps what it is told. */
class Reader {
  readonly state = new Map<string, number>();
  resyncs = 0;
  readonly #watch: Watch;
  #reading: Promise<void> = Promise.resolve();

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  read(count: number): void {
    this.#reading = this.#reading.then(async () => {
      for (let left = count; left > 0; left--) this.#note(await this.#watch.next());
    });
  }

  /** Twice: the first may be told in the middle of what a resync brings. */
  async readUntilTwice(path: string): Promise<void> {
    await this.#reading;
    for (let told = 0; told < 2;) {
      const step = await this.#watch.next();
      this.#note(step);
      if ((step.value as WatchEvent<number>).path === path) told++;
    }
  }

  #note({ value }: IteratorResult<WatchEvent<number>>): void {
    const event = value as WatchEvent<number>;
    if (event.kind === 'put') this.state.set(event.path, event.value);
    else if (event.kind === 'resync') this.resyncs++;
    else this.state.delete(event.path);
  }
}

test('[N6] readers of any pace, together and apart, across compactions, end with what is there', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      await withNamespace(async (ns, engine) => {
        const readers = Array.from({ length: 4 }, (_, index) => {
          const watch = ns.watch('/', { tree: true, locks: false });
          // As a loop begins: it may share a promise with the others.
          return new Reader(index % 2 === 0 ? watch[Symbol.asyncIterator]() : watch);
        });
        const model = new Map<string, number>();
        let value = 0;
        for (const each of steps) {
          if (each.do === 'put') {
            model.set(`/${each.key}`, ++value);
            await ns.put(`/${each.key}`, value);
          } else if (each.do === 'delete') {
            model.delete(`/${each.key}`);
            await ns.delete(`/${each.key}`);
          } else if (each.do === 'read') readers[each.watch]?.read(each.count);
          else if (each.do === 'turn') await nextTurn();
          else await engine.compact((await engine.status()).revision);
        }
        // Those that wait are woken until all have come to the last one.
        const ended = Promise.all(
          readers.map(async (reader) => await reader.readUntilTwice('/end')),
        );
        let over = false;
        const watchOver = ended.finally(() => (over = true));
        for (let round = 0; !over && round < 100; round++) {
          model.set('/end', round);
          await ns.put('/end', round);
          await nextTurn();
        }
        await watchOver;
        for (const reader of readers) reader.state.set('/end', model.get('/end') as number);
        for (const reader of readers) expect(reader.state).toEqual(model);
      });
    }),
    { numRuns: 300 },
  );
});
