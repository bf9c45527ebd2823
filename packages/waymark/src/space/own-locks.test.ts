import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from './local-host.js';
import { createSpace, type HostSpace } from './space.js';

test('[G2] writes are under the locks that bear on them, also after thousands came and went', async () => {
  const host = createLocalHost(createMemoryEngine());
  const options = { clock: systemClock, random: systemRandom, owner: 'me' };
  await using space = createSpace(host, options) as HostSpace;
  const ns = space.namespace('n');
  const own = space.ownLocks('n');
  const found = (path: string, tree = false) => own.on(path, tree).map((lock) => lock.path);

  const above = await ns.lock('/kept', { tree: true });
  const kept = await ns.lock('/by/itself', { mode: 'shared' });
  for (let round = 0; round < 2; round++) {
    const many = [];
    for (let i = 0; i < 1_500; i++) many.push(await ns.lock(`/many/${i}`));
    expect(found('/many', true)).toHaveLength(1_500);
    for (const lock of many) await lock.release();
    expect(found('/many', true)).toEqual([]);
    expect(found('/kept/one/two')).toEqual(['/kept']);
    expect(found('/by/itself')).toEqual([]);
  }
  await ns.put('/kept/one', 1);
  await kept.release();
  await above.release();
  expect(found('/', true)).toEqual([]);

  // A shared one lets nobody write.
  const both = [await ns.lock('/s', { mode: 'shared' }), await ns.lock('/t')];
  expect(found('/', true)).toEqual(['/t']);
  await Promise.all(both.map((lock) => lock.release()));
  expect(found('/', true)).toEqual([]);
});
