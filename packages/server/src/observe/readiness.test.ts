import { expect, test } from 'vitest';
import type { Cluster } from 'waymark/cluster';
import {
  type Clock,
  createMemoryEngine,
  type Engine,
  systemClock,
  WaymarkError,
} from 'waymark/engine';
import type { StashNodeService } from '../stash/node-service.js';
import type { EngineFigures } from './engine-figures.js';
import type { HostFigures } from './host-figures.js';
import { Readiness, type ReadinessParts } from './readiness.js';
import { statusOf } from './server-status.js';

function parts(): ReadinessParts {
  return {
    engine: createMemoryEngine(),
    cluster: undefined,
    stash: { service: null, trouble: null },
    watchers: { stalled: false },
    clock: systemClock,
    stopping: new AbortController().signal,
  };
}

async function reasons(given: Partial<ReadinessParts>): Promise<Record<string, string>> {
  const readiness = new Readiness({ ...parts(), ...given });
  const { ok, checks } = await readiness.look();
  expect(ok).toBe(checks.every((check) => check.ok));
  return Object.fromEntries(checks.map(({ name, reason = 'ok' }) => [name, reason]));
}

const well = { serving: 'ok', engine: 'ok', writable: 'ok', stash: 'ok', watchers: 'ok' };

function node(state: string, broken: Error | null): ReadinessParts['stash'] {
  const store = { writable: broken === null, broken };
  return { service: { state, store } as StashNodeService, trouble: null };
}

function member(state: string, why: string | null): Cluster {
  return { status: () => Promise.resolve({ state, why }) } as unknown as Cluster;
}

test('[ready] each check says why it is not well, and the others are not touched', async () => {
  expect(await reasons({})).toEqual(well);
  const full: Engine = Object.assign(createMemoryEngine(), {
    commit: () => Promise.reject(new WaymarkError('storage_full', 'no room left in /data')),
  });
  expect(await reasons({ engine: full })).toEqual({ ...well, writable: 'no room left in /data' });
  const stopping = AbortSignal.abort(new Error('it stops'));
  expect(await reasons({ stopping })).toEqual({ ...well, serving: 'the server stops' });
  const stalled = 'the processor of watchers has no lease';
  expect(await reasons({ watchers: { stalled: true } })).toEqual({ ...well, watchers: stalled });
});

test('[ready] a node of the stash has its share, and its disk has not failed; or it could not be opened', async () => {
  expect(await reasons({ stash: node('active', null) })).toEqual(well);
  expect(await reasons({ stash: node('left', null) })).toEqual(well);
  const of = async (stash: ReadinessParts['stash']) => (await reasons({ stash }))['stash'];
  expect(await of(node('joining', null))).toBe('the node of the stash: joining');
  expect(await of(node('active', new Error('EIO')))).toBe('the node of the stash: EIO');
  const trouble = { service: null, trouble: 'its disk is damaged' };
  expect((await reasons({ stash: trouble }))['stash']).toBe('its disk is damaged');
});

test('[ready] a member of a cluster without a majority is not ready, in the words of its status', async () => {
  expect(await reasons({ cluster: member('member', null) })).toEqual({ ...well, cluster: 'ok' });
  const alone = member('no_majority', 'one of three members answers');
  expect((await reasons({ cluster: alone }))['cluster']).toBe('one of three members answers');
});

test('[ready] an engine that does not answer is not waited for', async () => {
  const { clock, late } = stopped();
  const never = (): Promise<never> => new Promise(() => {});
  const silent: Engine = Object.assign(createMemoryEngine(), { status: never, commit: never });
  const told = reasons({ engine: silent, clock });
  late();
  expect(await told).toMatchObject({
    engine: 'no answer within 3000 ms',
    writable: 'no answer within 3000 ms',
  });
});

test('[OB1] the status waits no longer for a cluster that does not answer than for an engine', async () => {
  const { clock, late } = stopped();
  const cluster = { status: () => new Promise(() => {}) } as unknown as Cluster;
  const told = statusOf({
    readiness: new Readiness({ ...parts(), cluster, clock }),
    ...{ clock, cluster, version: '1', watchers: undefined, stash: parts().stash },
    connections: () => ({ all: 0, binary: 0, etcd: 0, streams: 0 }),
    engineFigures: { calls: { commit: none, read: none }, watches: 0 } as unknown as EngineFigures,
    hostFigures: { activity: [], lockWaits: none, waiters: 0 } as unknown as HostFigures,
  });
  late();
  expect(await told).toMatchObject({ cluster: null, version: '1' });
});

const none = { count: 0, sum: 0, bounds: [], counts: [] };

/** A clock whose timers fire when `late` is called. */
function stopped(): { readonly clock: Clock; readonly late: () => void } {
  const tasks: (() => void)[] = [];
  const after = (_ms: number, task: () => void): (() => void) => {
    tasks.push(task);
    return () => {};
  };
  return { clock: { ...systemClock, after }, late: () => tasks.forEach((task) => task()) };
}
