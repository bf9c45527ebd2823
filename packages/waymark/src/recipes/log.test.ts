import { expect, test } from 'vitest';
import type { CommitOptions, Engine, Outcome, Txn } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { isWaymarkError } from '../core/errors.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { createSpace } from '../space/space.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { FakeClock } from '../testing/fake-clock.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { append } from './log.js';
import type { Appended, Log } from '../space/log-types.js';

async function withLog(
  run: (parts: {
    readonly engine: Engine;
    readonly host: Host;
    readonly clock: FakeClock;
    readonly log: Log<string>;
  }) => Promise<void>,
): Promise<void> {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const host = createLocalHost(engine, { clock });
  await using space = createSpace(host, { clock, random: systemRandom, owner: 'me' });
  await run({ engine, host, clock, log: space.namespace<string>('n').log('/audit') });
}

const args = (id: string) => ({ path: '/audit', id, author: 'me', value: 'x', hold: undefined });

test('[J6] entries older than the age go with the next append, by the wall clock', async () => {
  await withLog(async ({ clock, log }) => {
    await log.retain({ ageMs: 60_000 });
    await log.append('old');
    clock.advance(59_000);
    await log.append('young');
    clock.advance(1_000);
    await log.append('at the bound');
    expect((await log.info()).first).toBe(1);
    clock.advance(1);
    await log.append('last');
    expect((await log.read()).entries.map(({ value }) => value)).toEqual([
      'last',
      'at the bound',
      'young',
    ]);
    clock.advance(120_000);
    expect(await log.retain({ ageMs: 60_000 })).toEqual({ ageMs: 60_000, first: 5, next: 5 });
    expect((await log.append('anew')).position).toBe(5);
  });
});

test('[J6] what is dropped leaves no key behind', async () => {
  await withLog(async ({ engine, log }) => {
    await log.retain({ entries: 2 });
    for (let i = 0; i < 10; i++) await log.append(String(i));
    // The head, two entries and two request ids.
    expect((await engine.status()).keys).toBe(5);
  });
});

test('[J10] a lock that ends between the look at it and the commit takes the append along', async () => {
  await using memory = createMemoryEngine();
  const engine = new Meddled(memory);
  const host = createLocalHost(engine);
  const parts = { clock: systemClock, random: systemRandom, owner: 'me' };
  await using space = createSpace(host, parts);
  await using other = createSpace(createLocalHost(memory), parts);
  const ns = space.namespace<string>('n');
  await ns.log('/audit').append('before', { id: 'one' });
  const lost = async (ids: readonly string[]): Promise<Promise<Appended>[]> => {
    const { path, token } = await ns.lock('/job');
    engine.before = async () => {
      await other.namespace('n').forceUnlock('/job', { reason: 'taken' });
    };
    return ids.map((id) => ns.log('/audit').append('x', { id, hold: { path, token } }));
  };
  await expect((await lost(['two']))[0]).rejects.toMatchObject({ code: 'lost' });
  const [one, two] = await lost(['one', 'two']);
  await expect(two).rejects.toMatchObject({ code: 'lost' });
  await expect(one).resolves.toMatchObject({ position: 1, repeated: true });
  expect((await ns.log('/audit').info()).next).toBe(2);
});

/** Something happens once, just before a commit that writes to a log. */
class Meddled extends ForwardingEngine {
  before: (() => Promise<void>) | null = null;

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const { before } = this;
    if (before !== null && txn.apply?.some((one) => 'key' in one && one.key.startsWith('n/n/l'))) {
      this.before = null;
      await before();
    }
    return await this.engine.commit(txn, options);
  }
}

test('[J9] appends that arrive together are few commits, and one alone is one', async () => {
  await withLog(async ({ engine, host, log }) => {
    await log.append('first');
    const { revision: before } = await engine.status();
    await log.append('second');
    expect((await engine.status()).revision).toBe(before + 1);
    const told = await Promise.all(
      Array.from({ length: 241 }, (_, i) => host.run(append, 'n', args(`id-${i}`))),
    );
    expect(told.map(({ position }) => position)).toEqual(told.map((_, i) => i + 3));
    // One alone, then 24 at a time.
    expect((await engine.status()).revision).toBe(before + 1 + 11);
  });
});

test('[J9] no more than 10 000 appends wait for one log', async () => {
  await withLog(async ({ host }) => {
    const all = Array.from({ length: 10_002 }, (_, i) => host.run(append, 'n', args(`id-${i}`)));
    const settled = await Promise.allSettled(all);
    const refused = settled.filter(
      (one) => one.status === 'rejected' && isWaymarkError(one.reason, 'overloaded'),
    );
    expect(refused.length).toBe(1);
    expect(settled.length - refused.length).toBe(10_001);
  });
});

test('[J9] an append that is aborted before its group is drawn is not there', async () => {
  await withLog(async ({ host, log }) => {
    const aborted = new AbortController();
    const first = host.run(append, 'n', args('first'));
    const second = host.run(append, 'n', args('second'), { signal: aborted.signal });
    aborted.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    expect((await first).position).toBe(1);
    expect((await log.append('next')).position).toBe(2);
  });
});

test('[J5] a watch whose history is compacted goes on with the entries, and leaves none out', async () => {
  await withLog(async ({ engine, log }) => {
    await log.append('1');
    const seen: string[] = [];
    for await (const { value } of log.watch({ after: 0 })) {
      seen.push(value);
      if (seen.length === 1) {
        // It stands before these two when it is asked for the next.
        const { revision } = await log.append('2');
        await log.append('3');
        await engine.compact(revision);
      }
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['1', '2', '3']);
  });
});

test('[J2] two requests with one id that wait together are one entry', async () => {
  await withLog(async ({ host, log }) => {
    const ids = ['first', 'twin', 'twin', 'last'];
    const told = await Promise.all(ids.map((id) => host.run(append, 'n', args(id))));
    expect(told.map(({ position, repeated }) => [position, repeated])).toEqual([
      [1, false],
      [2, false],
      [2, true],
      [3, false],
    ]);
    expect((await log.info()).next).toBe(4);
  });
});
