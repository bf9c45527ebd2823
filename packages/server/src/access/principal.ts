import type { KeyRange } from 'waymark/engine';
import { RangeSet } from './range-set.js';

export type Action = 'read' | 'write';

/** What a role permits on a range of keys. */
export interface Grant {
  readonly range: KeyRange;
  readonly actions: readonly Action[];
}

/** Who acts, and what all their roles together permit. */
export interface Principal {
  readonly name: string;
  /** May do everything. */
  readonly root: boolean;
  readonly permitted: Readonly<Record<Action, RangeSet>>;
}

export function principalOf(name: string, root: boolean, grants: readonly Grant[]): Principal {
  const rangesFor = (action: Action): RangeSet =>
    new RangeSet(grants.filter(({ actions }) => actions.includes(action)).map((one) => one.range));
  return { name, root, permitted: { read: rangesFor('read'), write: rangesFor('write') } };
}

/** Whether the principal may do this on every key of the range. */
export function allows(principal: Principal, action: Action, range: KeyRange): boolean {
  return principal.root || principal.permitted[action].covers(range);
}
