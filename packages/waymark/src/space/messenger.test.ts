import { expect, test } from 'vitest';
import type { Host } from '../core/host.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from './local-host.js';
import type { Membership } from './member-types.js';
import { createSpace } from './space.js';
import type { Members } from './member-types.js';

interface Watched {
  readonly group: Members;
  /** Reads of the host so far, by anyone. */
  readonly reads: () => number;
  /** Holds back the answers to reads until it is called. */
  readonly hold: () => () => void;
}

async function withGroup(run: (watched: Watched) => Promise<void>): Promise<void> {
  await using engine = createMemoryEngine();
  const local = createLocalHost(engine);
  let reads = 0;
  let held = Promise.resolve();
  const host: Host = new Proxy(local, {
    get(target, name: keyof Host) {
      if (name === 'read') {
        return async (...args: Parameters<Host['read']>) => {
          reads++;
          const reading = await target.read(...args);
          await held;
          return reading;
        };
      }
      const own = target[name];
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
  const space = createSpace(host, { clock: systemClock, random: systemRandom, owner: 'test' });
  const hold = (): (() => void) => {
    let release = (): void => {};
    held = new Promise((resolve) => (release = resolve));
    return release;
  };
  await run({ group: space.namespace('n').members('/g'), reads: () => reads, hold });
  await space.close();
}

async function leader(group: Members, id: string, handle: (body: unknown) => unknown) {
  const member = await group.join({ id, lead: true, handle: ({ body }) => handle(body) });
  await member.elected();
  return member;
}

async function valueOf(asker: Membership, body: unknown): Promise<unknown> {
  const reply = await asker.send(body);
  return reply.outcome === 'delivered' ? reply.value : reply;
}

test('[X7] who leads is read once; then a watch tells, and the next message goes to who leads by then', async () => {
  await withGroup(async ({ group, reads }) => {
    const first = await leader(group, 'first', () => 'first');
    const asker = await group.join();
    expect(await valueOf(asker, 0)).toBe('first');
    const before = reads();
    for (let i = 0; i < 20; i++) expect(await valueOf(asker, i)).toBe('first');
    expect(reads()).toBe(before);
    await first.release();
    await leader(group, 'second', () => 'second');
    let last = -1;
    for (let tries = 0; last !== reads() && tries < 100; tries++) {
      last = reads();
      expect(await valueOf(asker, 0)).toBe('second');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(reads(), 'the watch tells of the second too').toBe(last);
  });
});

test('[X7] a leader that was read and refuses is read anew', async () => {
  await withGroup(async ({ group }) => {
    const first = await leader(group, 'first', () => 'first');
    const asker = await group.join();
    await valueOf(asker, 0);
    const second = group.join({ id: 'second', lead: true, handle: () => 'second' });
    await second;
    // Not awaited: what the asker's watch told last is the term that ends here.
    const left = first.release();
    expect(await valueOf(asker, 1)).toBe('second');
    await left;
  });
});

test('[X2] a message that knows the leader does not overtake one that still reads it', async () => {
  await withGroup(async ({ group, hold, reads }) => {
    const seen: unknown[] = [];
    await leader(group, 'first', (body) => seen.push(body));
    const asker = await group.join();
    const [before, release] = [reads(), hold()];
    const sent = [asker.send('a'), asker.send('b')];
    while (reads() < before + 2) await new Promise((resolve) => setImmediate(resolve));
    release();
    // The first has its answer and knows; the second has not.
    for (let turn = 0; turn < 20; turn++) {
      await Promise.resolve();
      sent.push(asker.send(turn));
    }
    await Promise.all(sent);
    expect(seen).toEqual(['a', 'b', ...Array.from({ length: 20 }, (_, turn) => turn)]);
  });
});

test('[X7] a membership that is over follows nobody', async () => {
  await withGroup(async ({ group, reads }) => {
    await leader(group, 'first', () => 'first');
    const asker = await group.join();
    await valueOf(asker, 0);
    await asker.release();
    const before = reads();
    await valueOf(asker, 0);
    expect(reads()).toBe(before + 1);
  });
});
