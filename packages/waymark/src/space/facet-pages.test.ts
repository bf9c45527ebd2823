import { expect, test } from 'vitest';
import type { Query, Reading, ReadOptions } from '../core/engine.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { ForwardingHost } from '../wrap/forward-host.js';
import { createLocalHost } from './local-host.js';
import { createSpace } from './space.js';
import type { Namespace, Page } from './types.js';

/** Has room for few entries in an answer, as a server has where values are large. */
class Narrow extends ForwardingHost {
  room = Infinity;

  override async read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    const reading = await super.read(namespace, query, options);
    const entries = reading.entries.slice(0, this.room);
    return { ...reading, entries, more: reading.more || entries.length < reading.entries.length };
  }
}

type List = (ns: Namespace, call: { after?: string; limit?: number }) => Promise<Page<unknown>>;

async function all(ns: Namespace, list: List, limit: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let after: string | undefined; ;) {
    const page = await list(ns, { limit, ...(after === undefined ? {} : { after }) });
    expect(page.entries.length).toBeLessThanOrEqual(limit);
    found.push(...page.entries);
    if (!page.more) return found;
    expect(page.entries).not.toEqual([]);
    const last = page.entries.at(-1);
    after = typeof last === 'string' ? last : (last as { path: string }).path;
  }
}

test('lists are whole also where an answer has room for few: of jobs, trees, children and leaves', async () => {
  const host = new Narrow(createLocalHost(createMemoryEngine()));
  const options = { clock: systemClock, random: systemRandom, owner: 'me' };
  await using space = createSpace(host, options);
  const ns = space.namespace('n');
  const running: Promise<unknown>[] = [];
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  for (let i = 0; i < 40; i++) {
    const path = `/jobs/${'abc'[i % 3]}/${i}`;
    await ns.put(path, i);
    if (i % 4 === 0) running.push(ns.once(path, async () => await finished));
    else await ns.once(path, async () => i);
  }
  await expect
    .poll(async () =>
      (await ns.onceStates('/jobs')).entries.filter((one) => one.state === 'running'),
    )
    .toHaveLength(10);
  const lists: Readonly<Record<string, List>> = {
    jobs: (one, call) => one.onceStates('/jobs', call),
    tree: (one, call) => one.tree('/jobs', call),
    leaves: (one, call) => one.leaves('/jobs', call),
    children: (one, call) => one.children('/jobs/a', call),
  };
  for (const [name, list] of Object.entries(lists)) {
    host.room = Infinity;
    const whole = (await list(ns, {})).entries;
    expect(whole, name).toHaveLength(name === 'children' ? 14 : 40);
    for (const [room, limit] of [
      [1, 7],
      [3, 2],
      [5, 40],
    ] as const) {
      host.room = room;
      expect(await all(ns, list, limit), `${name}, ${room} an answer`).toEqual(whole);
    }
  }
  const beyond = await ns.onceStates('/jobs', { after: '/jobs/~' });
  expect(beyond).toMatchObject({ entries: [], more: false });
  expect(beyond.revision).toBeGreaterThan(40);
  finish();
  await Promise.all(running);
});
