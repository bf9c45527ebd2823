import type { Explanation, LockParty } from 'waymark/engine';

/** An explanation without those whom the caller may not see: who stands above the path it asked for is a part of its own path. */
export function shownTo(told: Explanation, may: (path: string) => boolean): Explanation {
  const seen = ({ path }: { readonly path: string }): boolean =>
    may(path) || told.path.startsWith(path === '/' ? path : `${path}/`);
  const all = (parties: readonly LockParty[]): boolean => parties.every(seen);
  const cycle = told.cycle.every(seen) ? told.cycle : [];
  if (all(told.holders) && all(told.waiters) && cycle === told.cycle) return told;
  return {
    ...told,
    holders: told.holders.filter(seen),
    waiters: told.waiters.filter(seen),
    cycle,
    summary: `${told.path} is held or waited for; not all of it may be shown to you`,
  };
}

/** What a recipe's `explain` tells of who waits for whom; all else is about its own path. */
interface Waits {
  readonly path?: string;
  readonly cycle?: Explanation['cycle'];
  readonly summary?: string;
}

/** As `shownTo`, of any other recipe: those who wait in a ring do so at paths of their own. */
export function shownWaits<Result>(told: Result, may: (path: string) => boolean): Result {
  const { path = '', cycle = [], summary } = (told ?? {}) as Waits;
  if (cycle.every((step) => may(step.path))) return told;
  const words = `${path} is waited for in a ring; not all of it may be shown to you`;
  return { ...told, cycle: [], ...(summary !== undefined && { summary: words }) };
}
