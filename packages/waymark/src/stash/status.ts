import type {
  StashNodeFigures,
  StashNodeInfo,
  StashNodeState,
  StashStatus,
} from '../core/stash.js';
import { partitionCount } from './hash.js';
import { Placement } from './placement.js';
import { readQuorumOf, writeQuorumOf } from './routes.js';
import type { Known } from './known.js';
import type { StashView } from './view.js';

/** What there is to tell of the nodes: of those that keep data, and of those that have said who they are. */
export function statusOf(
  known: Known,
  told: ReadonlyMap<string, StashNodeFigures>,
): Omit<StashStatus, 'move'> {
  const view = known.view?.view;
  const placement = new Placement(view?.nodes ?? [], view?.replicas ?? 0);
  const counts = placement.counts();
  const staying = view?.also?.phase === 'filling' ? idsOf(view.also.nodes) : undefined;
  const placed = placement.nodes.map(({ id, zone, weight }, position): StashNodeInfo => {
    const address = known.addressOf(id) ?? '';
    const stays = staying?.has(id) !== false;
    const state = !known.isAlive(id) ? 'away' : stays ? 'active' : 'leaving';
    const share = (counts[position] as number) / partitionCount;
    return { id, address, zone, weight, state, share, figures: told.get(id) ?? null };
  });
  const ids = new Set(placed.map(({ id }) => id));
  const others = [...known.nodes.values()]
    .filter(({ id }) => !ids.has(id))
    .map(({ id, zone, weight }): StashNodeInfo => {
      const address = known.addressOf(id) ?? '';
      const state = known.isAlive(id) ? waitingState(id, view) : 'away';
      const figures = told.get(id) ?? null;
      return { id, address, zone, weight, state, share: 0, figures };
    });
  const { replicas } = placement;
  return {
    epoch: known.epoch,
    nodes: [...placed, ...others],
    replicas,
    writeQuorum: replicas === 0 ? 0 : writeQuorumOf(replicas),
    readQuorum: replicas === 0 ? 0 : readQuorumOf(replicas),
  };
}

/** Of a node that is alive, and by the view keeps nothing, or nothing that is read. */
function waitingState(id: string, view: StashView | undefined): StashNodeState {
  const { also, left } = view ?? {};
  if (also?.nodes.some((node) => node.id === id) === true) {
    return also.phase === 'filling' ? 'joining' : 'leaving';
  }
  return left?.includes(id) === true ? 'left' : 'joining';
}

function idsOf(nodes: readonly { readonly id: string }[]): Set<string> {
  return new Set(nodes.map(({ id }) => id));
}
