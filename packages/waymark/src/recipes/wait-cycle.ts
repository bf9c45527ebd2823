import type { Engine } from '../core/engine.js';
import type { WaitStep } from '../core/host.js';
import { type Asking, readWaits, type Wait } from './waits.js';

/**
 * Whether those who hold something wait for each other in the end, across recipes. A party is a session with its leases. Whoever can
 * still go on is taken out, step by step: who waits for nothing, and who waits for none of those who are left. The rest wait for each other until
 * one gives up. Looking for a circle alone, as in a graph of locks, would suspect a waiter of a semaphore that others make room for.
 */

/** So many are followed from where it begins. */
const waitsMax = 100;

/**
 * @param from  those whose going on matters
 * @returns who wait for each other, each for what the next one holds or is to get first; empty when all can go on
 */
export async function waitCycle(
  engine: Engine,
  from: readonly Asking[],
): Promise<readonly WaitStep[]> {
  const { waits, all } = await readWaits(engine);
  if (waits.length === 0) return [];
  const partyOf = parties([...all, ...from]);
  const begin = from.map(partyOf);
  const stuck = reachable(begin, waits, partyOf);
  const isStuck = (one: Asking): boolean => stuck.has(partyOf(one));
  for (let before = -1; before !== stuck.size;) {
    before = stuck.size;
    for (const [party, own] of stuck) {
      if (own.every(({ blockers }) => blockers(isStuck).length === 0)) stuck.delete(party);
    }
  }
  const walked = new Map<string, number>();
  const steps: WaitStep[] = [];
  let party = begin.find((one) => stuck.has(one));
  while (party !== undefined && !walked.has(party)) {
    walked.set(party, steps.length);
    const own: readonly Wait[] = stuck.get(party) ?? [];
    const wait = own.find(({ blockers }) => blockers(isStuck).length > 0);
    if (wait === undefined) return [];
    steps.push(wait.step);
    const [blocker] = wait.blockers(isStuck);
    party = blocker && partyOf(blocker);
  }
  return steps.slice(walked.get(party ?? ''));
}

/** 'deadlock: a waits for the lock /x, b for the semaphore /y' */
export function tellCycle(steps: readonly WaitStep[]): string {
  if (steps.length === 0) return '';
  const told = steps.map(({ owner, recipe, path }) => `${owner} waits for the ${recipe} ${path}`);
  return `; deadlock: ${told.join(', ')}`;
}

/** Parties with what they wait for, from the first ones over those in their way. */
function reachable(
  begin: readonly string[],
  waits: readonly Wait[],
  partyOf: (one: Asking) => string,
): Map<string, readonly Wait[]> {
  const byParty = new Map<string, Wait[]>();
  for (const wait of waits) {
    const party = partyOf(wait.who);
    byParty.set(party, [...(byParty.get(party) ?? []), wait]);
  }
  const reached = new Map<string, readonly Wait[]>();
  const next = [...begin];
  let followed = 0;
  for (let party = next.pop(); party !== undefined; party = next.pop()) {
    const own = byParty.get(party) ?? [];
    if (reached.has(party) || own.length === 0 || followed + own.length > waitsMax) continue;
    followed += own.length;
    reached.set(party, own);
    for (const { blockers } of own) next.push(...blockers(() => true).map(partyOf));
  }
  return reached;
}

/** What shares a session or a lease is one party. */
function parties(all: readonly Asking[]): (one: Asking) => string {
  const above = new Map<string, string>();
  const top = (name: string): string => {
    let found = name;
    for (let up = above.get(found); up !== undefined; up = above.get(found)) found = up;
    return found;
  };
  for (const { session, lease } of all) {
    const [a, b] = [top(`session ${session}`), top(`lease ${lease}`)];
    if (a !== b) above.set(b, a);
  }
  return ({ session }) => top(`session ${session}`);
}
