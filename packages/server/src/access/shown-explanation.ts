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
