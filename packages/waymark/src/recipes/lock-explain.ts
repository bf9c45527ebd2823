import type { Entry } from '../core/engine.js';
import type { Explanation, ExplainRequest, HeldKeys, LockParty } from '../core/host.js';
import { parseMark, parsePlace } from '../space/layout.js';
import { conflicts, decodeParty, entriesOf } from './lock-queue.js';
import type { LockGround } from './lock-writes.js';
import { tellCycle, waitCycle } from './wait-cycle.js';
import { countOf, type Wording } from './wording.js';

/** Who holds, who waits, since when, and why a lock as asked for would not be granted now; at one revision. */
export async function explain(
  { engine, plans, words, namespace }: LockGround,
  request: ExplainRequest,
): Promise<Explanation> {
  const plan = plans.of(request);
  const ranges = [...plan.marks, ...plan.places];
  const apply = ranges.map(({ key, end }) => ({ type: 'read', key, end }) as const);
  const { revision, results } = await engine.commit({ apply });
  const entries = results.map(entriesOf);
  const relative = (entry: Entry): string => entry.key.slice(plan.prefix.length);
  const held = entries
    .slice(0, plan.marks.length)
    .flat()
    .map((entry) => ({ entry, keys: parseMark(relative(entry)) }));
  const holders = held.filter(({ entry }) => conflicts(plan, entry.key));
  const ids = new Set(held.map(({ keys }) => keys.id));
  const waiters = entries
    .slice(plan.marks.length)
    .flat()
    .map((entry) => ({ entry, keys: parsePlace(relative(entry)) }))
    .filter(({ keys, entry }) => !ids.has(keys.id) || entry.value.startsWith('^'));
  const parties = {
    holders: holders.map(({ entry, keys }) => party(entry, keys, true)).sort(bySince),
    waiters: waiters.map(({ entry, keys }) => party(entry, keys, false)).sort(bySince),
  };
  const among = [...holders, ...waiters].map(({ entry }) => ({
    session: decodeParty(entry.value).session,
    lease: entry.lease,
  }));
  const cycle = holders.length === 0 ? [] : await waitCycle(namespace, among);
  const summary = summarise(words, request.path, parties) + tellCycle(cycle);
  return { path: request.path, revision, ...parties, cycle, summary };
}

function party(entry: Entry, keys: HeldKeys, holds: boolean): LockParty {
  const { path, tree, mode } = keys;
  const { owner } = decodeParty(entry.value);
  const base = { owner, path, tree, mode, since: entry.createRevision, lease: entry.lease };
  return holds ? { ...base, token: entry.createRevision } : base;
}

function bySince(a: LockParty, b: LockParty): number {
  return a.since - b.since;
}

function summarise(
  words: Wording,
  path: string,
  parties: Pick<Explanation, 'holders' | 'waiters'>,
): string {
  const [holder] = parties.holders;
  const waiting = countOf(parties.waiters.length, words.waiting);
  if (holder === undefined) {
    return parties.waiters.length === 0
      ? words.free(path)
      : `${path} is about to be granted; ${waiting}`;
  }
  const others = parties.holders.length > 1 ? ` and ${parties.holders.length - 1} more` : '';
  const holding = words.holding(
    holder.path,
    holder.since,
    `${holder.mode} ${holder.tree ? 'tree ' : ''}`,
  );
  return `${holder.owner}${others} ${holding}; ${waiting}`;
}
