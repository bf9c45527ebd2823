import type { Conflicts } from './conflicts.js';
import { inTurns } from './in-turns.js';
import type { Placed } from './placed.js';
import { type ReconcileParts, transfer } from './reconcile.js';
import type { RepairFigures } from './repair.js';

/** What a peer missed, by the marks that coordinators left (rule D5.5). */
export async function tellMissed(
  id: string,
  { store, peer, epoch, pace, signal }: ReconcileParts,
  how: {
    readonly placed: Placed;
    readonly leaveOut: Conflicts['leaveOut'];
    readonly figures: Pick<RepairFigures, 'hinted'>;
  },
): Promise<void> {
  const { hints, partitions } = store;
  const { placement, moving } = how.placed;
  const tell = async (partition: number, missed: readonly Buffer[]): Promise<void> => {
    const purged = partitions.purged(partition);
    const keys = missed.map((key) => key.toString('latin1', 2));
    const isKept = moving || placement.of(partition).some((node) => node.id === id);
    // What it keeps no more it does not need.
    if (!isKept) return await hints.remove(id, missed);
    const told = await transfer(keys, {
      from: async (asked) => partitions.fetch(partition, asked),
      into: (entries) => peer.mend({ epoch, partition, purged, entries }, { signal }),
      pace,
    });
    how.figures.hinted += told;
    await hints.remove(id, missed);
  };
  let done = true;
  for (let pages = hints.pages(id); done && pages.length > 0; pages = hints.pages(id)) {
    await inTurns(pages, async (missed) => {
      const partition = (missed[0] as Buffer).readUInt16BE(0);
      const work = (): Promise<void> => tell(partition, missed);
      done = (await how.leaveOut(`${id} ${partition}`, work)) && done;
    });
  }
}
