import type { CallOptions } from '../core/engine.js';
import type { StashSafeToStop } from '../core/stash.js';
import { bitsOf, type Digest, unpackDigests } from './digest-list.js';
import type { Known } from './known.js';
import { keptBy } from './moves.js';
import type { StashPeer } from './peer.js';
import { Placement } from './placement.js';
import { writeQuorumOf } from './routes.js';

/** What is being written is on one replica before it is on another: those that differ are asked again. */
const triesMax = 5;

/**
 * Whether a node may be stopped, and its disk be lost, without a loss and without reads or writes having to wait (rule D6.4): of every partition it keeps, as many others as a write asks are alive
 * and hold what it holds.
 */
export async function safeToStop(
  id: string,
  known: Known,
  peerOf: (id: string) => StashPeer,
  options: CallOptions = {},
): Promise<StashSafeToStop> {
  const view = known.view?.view;
  if (view === undefined) return answer(['the stash has no node'], 0);
  const isIn = ({ id: one }: { readonly id: string }): boolean => one === id;
  if (view.also !== undefined && [...view.nodes, ...view.also.nodes].some(isIn)) {
    return answer(['data is being moved'], 0);
  }
  if (!view.nodes.some(isIn)) return answer([], 0);
  const placement = new Placement(view.nodes, view.replicas);
  const needed = writeQuorumOf(placement.replicas);
  if (placement.replicas - 1 < needed) {
    return answer([`${placement.replicas} copies are kept, and a write asks ${needed}`], 0);
  }
  let open = [...keptBy(id, placement)];
  for (let tries = 0; tries < triesMax && open.length > 0; tries++) {
    const told = await digestsOf(open, {
      id,
      known,
      placement,
      peerOf,
      epoch: view.epoch,
      options,
    });
    open = open.filter((one) => !holds(one, told, { id, placement, needed }));
  }
  if (open.length === 0) return answer([], 0);
  const away = placement.nodes.filter((node) => node.id !== id && !known.isAlive(node.id));
  const missing = away.map((node) => `node ${node.id} is away`);
  return answer(
    [...missing, `${open.length} partitions are not on ${needed} others as they are there`],
    open.length,
  );
}

type Told = ReadonlyMap<string, ReadonlyMap<number, Digest>>;

async function digestsOf(
  partitions: readonly number[],
  asked: {
    readonly id: string;
    readonly known: Known;
    readonly placement: Placement;
    readonly peerOf: (id: string) => StashPeer;
    readonly epoch: number;
    readonly options: CallOptions;
  },
): Promise<Told> {
  const { known, placement, peerOf, epoch, options } = asked;
  const bits = bitsOf(partitions);
  const told = new Map<string, ReadonlyMap<number, Digest>>();
  await Promise.all(
    placement.nodes
      .filter(({ id }) => known.isAlive(id))
      .map(async ({ id }) => {
        const ask = { epoch, partitions: bits, grouped: false };
        const packed = await peerOf(id)
          .digests(ask, options)
          .catch(() => null);
        if (packed === null) return;
        const digests = unpackDigests(packed);
        told.set(id, new Map(partitions.map((one, at) => [one, digests[at] ?? null])));
      }),
  );
  options.signal?.throwIfAborted();
  return told;
}

/** Where the node itself does not answer any more, the others must hold the same. */
function holds(
  partition: number,
  told: Told,
  { id, placement, needed }: { id: string; placement: Placement; needed: number },
): boolean {
  const others = placement.of(partition).filter((node) => node.id !== id);
  const digests = others.map((node) => textOf(told.get(node.id)?.get(partition)));
  const own = told.has(id) ? textOf(told.get(id)?.get(partition)) : digests.find((one) => one);
  return own !== undefined && digests.filter((one) => one === own).length >= needed;
}

function textOf(digest: Digest | undefined): string | undefined {
  return digest == null ? undefined : `${digest.high} ${digest.low}`;
}

function answer(reasons: readonly string[], partitions: number): StashSafeToStop {
  return { safe: reasons.length === 0, reasons, partitions };
}
