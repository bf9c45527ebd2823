import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from './local-host.js';
import type { HostNamespace } from './namespace.js';
import { createSpace, type HostSpace } from './space.js';

function begin(): HostSpace {
  const host = createLocalHost(createMemoryEngine());
  const options = { clock: systemClock, random: systemRandom, owner: 'me' };
  return createSpace(host, options) as HostSpace;
}

type Lasting = (space: HostSpace, signal: AbortSignal) => AsyncIterator<unknown>;

const kinds: Readonly<Record<string, Lasting>> = {
  'a watch': (space, signal) => space.namespace('n').watch('/a', { signal }),
  'a watch among others': (space) => space.namespace('n').watch('/a'),
  'revisions of a watch': (space, signal) =>
    (space.namespace('n') as HostNamespace<unknown>).watchGroups('/a', { signal }),
  'the leaders': (space, signal) => space.namespace('n').election('/e').observe({ signal }),
  'the members': (space, signal) => space.namespace('n').members('/m').watch({ signal }),
  'a log': (space, signal) => space.namespace('n').log('/l').watch({ after: 0, signal }),
};

for (const [kind, open] of Object.entries(kinds)) {
  test(`${kind}: what was left leaves nothing with the space, nor with the caller's signal`, async () => {
    await using space = begin();
    const ns = space.namespace('n');
    await ns.put('/a', 1);
    await ns.log('/l').append(1);
    const { signal } = new AbortController();
    for (let round = 0; round < 3; round++) {
      const steps = [open(space, signal), open(space, signal)];
      for (const one of steps) await one.next();
      expect(space.lasting).toBeGreaterThan(0);
      for (const one of steps) await one.return?.();
      expect(space.lasting).toBe(0);
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    }
  });

  test(`${kind}: it ends with the space`, async () => {
    const space = begin();
    const ns = space.namespace('n');
    await ns.put('/a', 1);
    await ns.log('/l').append(1);
    const steps = open(space, new AbortController().signal);
    await steps.next();
    const next = (async () => {
      while ((await steps.next()).done !== true);
    })();
    await Promise.all([expect(next).rejects.toMatchObject({ code: 'unavailable' }), space.close()]);
    expect(space.lasting).toBe(0);
    const late = async (): Promise<unknown> =>
      await open(space, new AbortController().signal).next();
    await expect(late()).rejects.toMatchObject({ code: 'unavailable' });
  });
}
