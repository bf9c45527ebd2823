import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SharingMode } from 'waymark/engine';
import { endpointKinds } from '../../packages/server/src/endpoints/kinds.js';
import { endpointOf } from '../../packages/server/src/watchers/registration.js';
import type { SeededRandom } from '../faults/random.js';
import { usualSettings } from '../support/drivers.js';
import { judge } from './arrivals.js';
import { type Ground, sealingKey, startGround } from './ground.js';
import type { Ledger, ModeFigures } from './ledger.js';
import type { Place } from './places.js';
import { Processors } from './processors.js';

/** All ways to share endpoints out; with few endpoints, so narrow that each makes several shares. */
export const modes: readonly SharingMode[] = [
  { by: 'endpoint' },
  { by: 'pattern', perPattern: 3 },
  { by: 'fixed', shares: 4 },
  { by: 'kind' },
];
/** Each mode stands for so many faults. */
const faultsPerMode = 7;
/** For hiccups, and then for a minute and more where the machine is slow. */
const retry = Array.from({ length: 100 }, (_, n) => (n < 40 ? 50 : 1_000));

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
  /** What keeps the registry, by URL. Default: a server with its memory. */
  readonly engine?: string | undefined;
}

export interface RigReport {
  /** Changes that places were to be told that must miss none, of all of them together. */
  readonly notifications: number;
  /** And of places that claim no more than order. */
  readonly lossy: number;
  readonly repeats: number;
  /** Events that never came, of places that claim no more than order. */
  readonly missing: number;
  /** Endpoints that processors held when they were paused or cut off, and found in other hands afterwards. */
  readonly takenOver: number;
  /** What went on in each mode of sharing out; they took turns. */
  readonly byMode: Readonly<Record<string, ModeFigures>>;
  readonly faultsMs: number;
  readonly drainMs: number;
  readonly byPlace: Readonly<Record<string, object>>;
}

/** Processors in processes of their own over one registry, one endpoint at each place under two patterns that overlap, and whoever kills the processors, pauses them and cuts them off. */
export async function runRig(plan: RigPlan): Promise<RigReport> {
  await using ground = await startGround(kindsFor(plan.places), plan.engine);
  const { url, engine, ledger } = ground;
  const folder = await mkdtemp(join(tmpdir(), 'waymark-rig-'));
  const xmppAccountFile = await accountFile(folder, plan.places);
  const processors = new Processors({ url, engine, sealingKey, xmppAccountFile });
  try {
    await register(ground, plan);
    await processors.start(plan.processors);
    const began = performance.now();
    const paths = await writeUnder(ground, plan, processors);
    const faulted = performance.now();
    await Promise.all(plan.places.map((place) => place.calm()));
    const judged = await judgeAll(ledger, plan, paths);
    await ledger.close();
    return {
      ...judged,
      takenOver: processors.takenOver,
      byMode: Object.fromEntries(ledger.byMode),
      faultsMs: Math.round(faulted - began),
      drainMs: Math.round(performance.now() - faulted),
    };
  } finally {
    await processors.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The kinds that have an account where a place needs it. */
function kindsFor(places: readonly Place[]): ReturnType<typeof endpointKinds> {
  return endpointKinds(accountOf(places));
}

function accountOf(places: readonly Place[]): Place['account'] | null {
  return places.find(({ account }) => account !== undefined)?.account ?? null;
}

/** @returns null where nothing is sent from an account */
async function accountFile(folder: string, places: readonly Place[]): Promise<string | null> {
  const account = accountOf(places);
  if (account === null) return null;
  const file = join(folder, 'xmpp.json');
  await writeFile(file, JSON.stringify(account), { mode: 0o600 });
  return file;
}

async function register({ desk }: Ground, { places, batch }: RigPlan): Promise<void> {
  for (const { uri: endpoint, timeoutMs, each } of places) {
    // Of each two, one matches what the other does and more.
    const patterns = each === 1 ? ['/o/*', '/*[02468]'] : ['/o/*0', '/*[02468]0'];
    for (const pattern of patterns) {
      await desk.add({ namespace: 'rig', batch, retry, pattern, endpoint, timeoutMs });
    }
  }
}

/** Writes a share of the changes before each fault, and now and then sets another mode of sharing out. @returns the paths, in order */
async function writeUnder(
  { desk, namespace, ledger }: Ground,
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
      await namespace.put(path, paths.length - 1);
    }
  };
  const before = (left: number): void => {
    const until = Math.ceil((plan.changes * (faults - left + 1)) / faults);
    const done = faults - left;
    const turn = Math.floor(done / faultsPerMode) % modes.length;
    const mode = done % faultsPerMode === 0 ? modes[turn] : undefined;
    writing = writing.then(async () => {
      if (mode !== undefined) await desk.setMode(mode);
      await write(until);
    });
    writing.catch(() => undefined);
  };
  // However slow the machine is, faults come while there is much to tell, and much was told between them.
  const due = (): number => {
    const told = plan.places.map(({ each }) => Math.ceil(paths.length / each));
    return told.reduce((sum, one) => sum + one, 0) / 2;
  };
  const until = (): Promise<void> =>
    ledger.until(
      () => ledger.delivered >= due(),
      () => `${ledger.delivered} events were told, of ${2 * due()} that were written`,
    );
  await processors.torment({ ...plan, before, until });
  await writing;
  return paths;
}

async function judgeAll(
  ledger: Ledger,
  { places, batch }: RigPlan,
  written: readonly string[],
): Promise<Pick<RigReport, 'notifications' | 'lossy' | 'repeats' | 'missing' | 'byPlace'>> {
  const byPlace: Record<string, object> = {};
  const kinds = kindsFor(places);
  let [notifications, lossyOnes, repeats, missing] = [0, 0, 0, 0];
  for (const place of places) {
    const { name: what, uri, lossy, each } = place;
    const paths = written.filter((_, at) => at % each === 0);
    const endpoint = endpointOf(kinds, uri);
    const told = (): number => ledger.state(endpoint)?.delivered ?? 0;
    const all = (): boolean => told() >= paths.length;
    await ledger.until(all, () => `${what} was told ${told()} of ${paths.length}`);
    const fences = keepsFences(kinds, uri);
    // The cursor says that all was accepted, so all has arrived.
    const judged = judge(await place.arrivals(), { paths, batch, fences, lossy, what });
    if (lossy === true) lossyOnes += paths.length;
    else notifications += paths.length;
    repeats += judged.repeats;
    missing += judged.missing;
    byPlace[what] = { ...judged, ...place.facts() };
  }
  return { notifications, lossy: lossyOnes, repeats, missing, byPlace };
}

/** Whether the place refuses repeats and lower fences itself. */
function keepsFences(kinds: ReturnType<typeof endpointKinds>, uri: string): boolean {
  const kind = kinds.find(({ schemes }) => schemes.includes(uri.split(':', 1)[0] as string));
  return kind?.parse(uri, usualSettings).fences ?? false;
}
