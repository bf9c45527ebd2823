import type { NodeTold } from 'waymark/stash';
import type { Repair } from './repair/repair.js';
import type { StashStore } from './store.js';

/** What a node tells of itself. @param look  it is to look at all other replicas now */
export function toldOf(store: StashStore, repair: Repair, look: boolean): NodeTold {
  const { rounds, compared, differing, fetched, pushed, hinted } = repair.figures;
  const { damaged, tombstones } = store.figures;
  const { comparedMs } = repair;
  const figures = {
    ...store.stats(),
    ...{ tombstones, hints: store.hints.count, writable: store.writable, damaged },
    ...{ compared, differing, fetched, pushed: pushed + hinted },
    comparedMs: comparedMs === null ? null : Math.round(comparedMs),
  };
  return { figures, rounds, nextRound: look ? repair.look() : rounds };
}
