import { setImmediate as turn } from 'node:timers/promises';
import { isWaymarkError, type Permit, type Semaphore, type Space } from 'waymark';
import {
  type Change,
  type Clock,
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  systemRandom,
} from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { type MortalClient, mortalClock, orDeath } from '../faults/mortal.js';
import type { SeededRandom } from '../faults/random.js';

/**
 * Clients of one semaphore that come, wait, give up, die and resize, on a clock of their own; and what the engine's history says of it,
 * read without the recipe's code.
 */
export interface SemaphoreHistory {
  readonly faults: readonly string[];
  readonly grants: number;
  readonly waited: number;
  readonly deaths: number;
  readonly gaveUp: number;
  readonly refusedTries: number;
  readonly resizes: number;
  /** The most that was held at once. */
  readonly peak: number;
}

export interface SemaphoreHistoryOptions {
  readonly limit: number;
  readonly clients: number;
  /** Requests per client. */
  readonly requests: number;
  readonly deaths: number;
  readonly resizes: boolean;
}

interface Run {
  readonly clock: FakeClock;
  readonly engine: Engine;
  readonly random: SeededRandom;
  readonly options: SemaphoreHistoryOptions;
  /** All that were ever granted, the dead clients' too. */
  readonly permits: Permit[];
  readonly tally: { -readonly [K in keyof Omit<SemaphoreHistory, 'faults'>]: number };
  readonly faults: string[];
  readonly spaces: Space[];
}

const path = '/pool';
const ttlMs = 1_000;

export async function recordSemaphore(
  random: SeededRandom,
  options: SemaphoreHistoryOptions,
): Promise<SemaphoreHistory> {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const tally = {
    grants: 0,
    waited: 0,
    deaths: 0,
    gaveUp: 0,
    refusedTries: 0,
    resizes: 0,
    peak: 0,
  };
  const run: Run = { clock, engine, random, options, permits: [], tally, faults: [], spaces: [] };
  const first = connect(run, 'first').space.namespace('n');
  await (await first.semaphore(path, { limit: options.limit }).acquire({ renew: false })).release();
  let done = false;
  const clients = Promise.all(
    Array.from({ length: options.clients }, (_, client) => runClient(run, client)),
  ).finally(() => (done = true));
  while (!done) {
    await turn();
    clock.advance(1 + random.below(12));
    if (!options.resizes) checkBelief(run);
  }
  await clients;
  run.faults.push(...(await replay(run)));
  for (const space of run.spaces) void space.close().catch(() => undefined);
  return { ...tally, faults: run.faults };
}

/** What processes believe to hold, the dead ones by their own clock too, never adds up to more than the limit. */
function checkBelief({ permits, options, tally, faults }: Run): void {
  const held = permits.filter((permit) => permit.isHeld());
  const sum = held.reduce((all, { weight }) => all + weight, 0);
  tally.peak = Math.max(tally.peak, sum);
  if (sum > options.limit) faults.push(`${sum} of ${options.limit} are believed in at once`);
}

async function runClient(run: Run, client: number): Promise<void> {
  const { random, options, tally } = run;
  let mortal = connect(run, `client-${client}`);
  for (let number = 0; number < options.requests; number++) {
    await once(run, mortal);
    if (!mortal.dead.aborted) continue;
    tally.deaths++;
    mortal = connect(run, `client-${client}+${number}`);
  }
  if (random.next() < 0.5) return;
  mortal.kill();
}

async function once(run: Run, mortal: MortalClient): Promise<void> {
  const { random, options, tally, clock } = run;
  const semaphore = mortal.space.namespace('n').semaphore(path, {
    limit: options.resizes ? undefined : options.limit,
  });
  if (random.next() < options.deaths) {
    clock.after(random.below(150), () => mortal.kill());
  }
  if (options.resizes && random.next() < 0.2) await resize(run, semaphore);
  const began = clock.now();
  const permit = await orDeath(ask(run, semaphore), mortal.dead);
  if (permit === null) return;
  tally.grants++;
  if (clock.now() - began > 12) tally.waited++;
  run.permits.push(permit);
  await orDeath(sleep(clock, random.below(60)), mortal.dead);
  if (mortal.dead.aborted) return;
  const released = await permit.release();
  if (!released && permit.reason === undefined)
    run.faults.push('a permit was gone before its release');
  if (await permit.release()) run.faults.push('a second release was one');
}

/** Null: it did not fit, took too long, or was too heavy for the limit by then. */
async function ask({ random, options, tally }: Run, semaphore: Semaphore): Promise<Permit | null> {
  const weight = 1 + random.below(options.limit);
  try {
    if (random.next() < 0.2) {
      const permit = await semaphore.tryAcquire({ weight, ttlMs });
      if (permit === null) tally.refusedTries++;
      return permit;
    }
    const waitMs = random.next() < 0.25 ? random.below(80) : undefined;
    return await semaphore.acquire({ weight, ttlMs, waitMs });
  } catch (error) {
    if (isWaymarkError(error, 'timeout')) tally.gaveUp++;
    else if (
      !isWaymarkError(error, 'lost') &&
      !(options.resizes && isWaymarkError(error, 'invalid'))
    ) {
      throw error;
    }
    return null;
  }
}

async function resize({ random, options, tally }: Run, semaphore: Semaphore): Promise<void> {
  await semaphore.resize(1 + random.below(options.limit));
  tally.resizes++;
}

interface Place {
  readonly created: number;
  readonly weight: number;
  /** It fitted beside all that were older, at some revision. */
  fitted: boolean;
  /** It was told that it holds. */
  granted: boolean;
}

/**
 * Reads the engine's history, revision by revision. Who was told that it holds must have fitted beside all older requests at some revision until
 * then; and unless somebody resizes, what was granted never adds up to more than the limit.
 */
async function replay({ engine, permits, options }: Run): Promise<string[]> {
  const faults: string[] = [];
  const revisions = await changesOf(engine);
  const all = [...revisions.values()].flat();
  const rewritten = new Set(
    all.filter(({ entry }) => entry.version > 1).map(({ entry }) => entry.createRevision),
  );
  const told = new Set(permits.map(({ token }) => token));
  const places = new Map<string, Place>();
  let limit = 0;
  for (const [revision, changes] of revisions) {
    for (const { kind, entry } of changes) {
      const { key, value, createRevision: created } = entry;
      if (key.startsWith(limitFacet)) limit = Number.parseInt(value, 10);
      else if (kind !== 'put') places.delete(key);
      else if (entry.version === 1) {
        const weight = Number.parseInt(value.slice(1), 10);
        places.set(key, { created, weight, fitted: false, granted: false });
      }
    }
    const queue = [...places.values()].sort((one, two) => one.created - two.created);
    let sum = 0;
    for (const place of queue) place.fitted ||= (sum += place.weight) <= limit;
    for (const { kind, entry } of changes) {
      const place = places.get(entry.key);
      if (kind !== 'put' || place === undefined) continue;
      const { created } = place;
      place.granted = entry.version > 1 || (told.has(created) && !rewritten.has(created));
      if (place.granted && !place.fitted) faults.push(`${revision}: ${created} does not fit`);
    }
    const granted = queue.filter((place) => place.granted);
    const used = granted.reduce((total, { weight }) => total + weight, 0);
    if (!options.resizes && used > limit) faults.push(`${revision}: ${used} of ${limit} granted`);
  }
  return faults;
}

const limitFacet = 'n/n/pl';

async function changesOf(engine: Engine): Promise<Map<number, Change[]>> {
  const revisions = new Map<number, Change[]>();
  const { revision } = await engine.status();
  const facet = { key: 'n/n/p', end: 'n/n/q' };
  // What is written last, so that the watch has an end.
  await engine.commit({ apply: [{ type: 'put', key: 'n/n/p~', value: '' }] });
  for await (const batch of engine.watch([facet], { after: 0 })) {
    for (const change of batch.changes) {
      const at = change.entry.modRevision;
      if (at > revision) return revisions;
      revisions.set(at, [...(revisions.get(at) ?? []), change]);
    }
  }
  return revisions;
}

function connect({ clock, engine, spaces }: Run, owner: string): MortalClient {
  const death = new AbortController();
  const host = createLocalHost(engine, { clock });
  const mortal = mortalClock(clock, death.signal);
  const space = createSpace(host, { clock: mortal, random: systemRandom, owner });
  spaces.push(space);
  return { space, dead: death.signal, kill: () => death.abort() };
}

function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
