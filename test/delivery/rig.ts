import { setTimeout as delay } from 'node:timers/promises';
import {
  createLocalHost,
  createSpace,
  type Engine,
  openEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import type { Namespace } from 'waymark';
import { endpointKinds } from '../../packages/server/src/endpoints/kinds.js';
import { createDesk } from '../../packages/server/src/watchers/desk.js';
import { createSealer } from '../../packages/server/src/watchers/sealing.js';
import { readSealingKeys } from '../../packages/server/src/watchers/sealing-keys.js';
import { serve } from '../support/command.js';
import { usualSettings } from '../support/drivers.js';
import type { SeededRandom } from '../faults/random.js';
import { type Arrival, judge } from './arrivals.js';
import type { Place } from './places.js';
import { Processors } from './processors.js';

const sealingKey = `rig:${Buffer.alloc(32, 7).toString('base64')}`;
const kinds = endpointKinds();

export interface RigPlan {
  readonly random: SeededRandom;
  readonly places: readonly Place[];
  readonly processors: number;
  readonly kills: number;
  readonly pauses: number;
  /** From the engine alone: endpoints stay in reach. */
  readonly cuts: number;
  /** Changes that are written, spread over the faults. */
  readonly changes: number;
  /** The most events of one delivery. */
  readonly batch: number;
}

export interface RigReport {
  /** Changes times places. */
  readonly notifications: number;
  readonly repeats: number;
  /** Endpoints that processors held when they were paused or cut off, and found in other hands afterwards. */
  readonly takenOver: number;
  readonly faultsMs: number;
  readonly drainMs: number;
  readonly byPlace: Readonly<Record<string, object>>;
}

/** A server that only keeps the registry, processors in processes of their own, one endpoint at each place under two patterns that overlap, and whoever kills the processors, pauses them and cuts them off. */
export async function runRig(plan: RigPlan): Promise<RigReport> {
  const history = ['--history-revisions', '1000000'];
  const { command: server, url } = await serve(['--engine', 'memory', '--no-watchers', ...history]);
  const engine = await openEngine(url);
  const shared = { clock: systemClock, random: systemRandom };
  const space = createSpace(createLocalHost(engine, shared), { ...shared, owner: 'rig', engine });
  const processors = new Processors(url, sealingKey, engine);
  try {
    await register(engine, plan);
    await processors.start(plan.processors);
    const began = performance.now();
    const paths = await writeUnder(space.namespace<number>('rig'), plan, processors);
    const faulted = performance.now();
    await Promise.all(plan.places.map((place) => place.calm()));
    const judged = await judgeAll(plan, paths);
    return {
      ...judged,
      notifications: paths.length * plan.places.length,
      takenOver: processors.takenOver,
      faultsMs: Math.round(faulted - began),
      drainMs: Math.round(performance.now() - faulted),
    };
  } finally {
    await processors.stop();
    await space.close();
    await server.stop();
  }
}

async function register(engine: Engine, { places, batch }: RigPlan): Promise<void> {
  const keys = readSealingKeys({ text: sealingKey });
  const sealer = createSealer({ keys, random: systemRandom });
  const desk = createDesk({ engine, kinds, sealer, clock: systemClock, random: systemRandom });
  const shared = { namespace: 'rig', batch, retry: Array.from({ length: 100 }, () => 50) };
  for (const { uri: endpoint } of places) {
    for (const pattern of ['/o/*', '/*[02468]']) {
      await desk.add({ ...shared, pattern, endpoint, timeoutMs: 1_000 });
    }
  }
}

/** Writes a share of the changes before each fault. @returns the paths, in order */
async function writeUnder(
  namespace: Namespace<number>,
  plan: RigPlan,
  processors: Processors,
): Promise<string[]> {
  const paths: string[] = [];
  const faults = plan.kills + plan.pauses + plan.cuts;
  let writing = Promise.resolve();
  const write = async (until: number): Promise<void> => {
    while (paths.length < until) {
      const path = `/o/${paths.length}`;
      paths.push(path);
      await namespace.put(path, paths.length);
    }
  };
  const before = (left: number): void => {
    const until = Math.ceil((plan.changes * (faults - left + 1)) / faults);
    writing = writing.then(() => write(until));
    writing.catch(() => undefined);
  };
  await processors.torment({ ...plan, before });
  await writing;
  return paths;
}

async function judgeAll(
  { places, batch }: RigPlan,
  paths: readonly string[],
): Promise<Pick<RigReport, 'repeats' | 'byPlace'>> {
  const byPlace: Record<string, object> = {};
  let repeats = 0;
  for (const place of places) {
    const { name: what } = place;
    const arrivals = await complete(place, paths.length);
    const judged = judge(arrivals, { paths, batch, fences: keepsFences(place), what });
    repeats += judged.repeats;
    byPlace[what] = { ...judged, ...place.facts() };
  }
  return { repeats, byPlace };
}

/** Whether the place refuses repeats and lower fences itself. */
function keepsFences({ uri }: Place): boolean {
  const kind = kinds.find(({ schemes }) => schemes.includes(uri.split(':', 1)[0] as string));
  return kind?.parse(uri, usualSettings).fences ?? false;
}

/** What came to a place once all of it has. */
async function complete(place: Place, count: number): Promise<readonly Arrival[]> {
  let [came, since] = [0, Date.now()];
  for (;;) {
    const arrivals = await place.arrivals();
    const distinct = new Set(arrivals.map(({ sequence }) => sequence)).size;
    if (distinct >= count) return arrivals;
    if (distinct > came) [came, since] = [distinct, Date.now()];
    if (Date.now() > since + 30_000)
      throw new Error(`${place.name}: ${distinct} of ${count} came, and no more`);
    await delay(250);
  }
}
