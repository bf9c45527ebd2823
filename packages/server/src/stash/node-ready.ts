import type { NodeState } from './node-service.js';
import type { StashStore } from './store.js';

/** Whether something does what it is there for, and what there is to say about it. */
export interface Readiness {
  readonly ok: boolean;
  readonly reason: string;
}

/**
 * A node is ready when it has its share, or was drained and has nothing to do: nobody need wait for it. One whose disk is full is: it serves reads, and takes writes again by itself. One whose disk failed
 * is not until it is started anew.
 */
export function readyNode({
  state,
  store,
}: {
  readonly state: NodeState;
  readonly store: Pick<StashStore, 'broken' | 'writable'>;
}): Readiness {
  const { broken } = store;
  if (broken !== null) return { ok: false, reason: broken.message };
  const ok = state === 'active' || state === 'left';
  return { ok, reason: ok && !store.writable ? `${state}, takes no writes: no room` : state };
}
