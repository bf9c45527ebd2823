import {
  type Batch,
  type Host,
  isWaymarkError,
  type KeyRange,
  type Revision,
} from 'waymark/engine';

export interface WatchedSince {
  readonly range: KeyRange;
  /** The first revision of interest; 0: what comes from now on. */
  readonly from: Revision;
  readonly previous: boolean;
}

export interface OpenedWatch {
  /** What follows on `told`, behind what is in `first`. */
  readonly batches: AsyncIterator<Batch>;
  readonly told: Revision;
  readonly first: Batch | null;
  /** The revision when it was opened. */
  readonly present: Revision;
}

/**
 * A watch as etcd has them. Each begins as one from now on, whose bookmark tells the present: one that begins in the future lets pass what
 * comes before, one that begins in the past is opened anew there.
 */
export async function openWatch(
  host: Host,
  namespace: string,
  { range, from, previous }: WatchedSince,
): Promise<OpenedWatch> {
  const open = (after?: Revision): AsyncIterator<Batch> =>
    host.watch(namespace, [range], { after, previous })[Symbol.asyncIterator]();
  const now = open();
  const bookmark = await now.next();
  const present = bookmark.done === true ? 0 : bookmark.value.revision;
  if (from === 0 || from > present) return { batches: now, told: present, first: null, present };
  await now.return?.();
  const { compacted } = await host.status();
  const first = from === compacted ? await standing(host, namespace, { range, from }) : null;
  return { batches: open(first?.revision ?? from - 1), told: from - 1, first, present };
}

/**
 * The revision at which history was compacted, as far as it still stands: etcd watches begin there, and clients that were told of a
 * compaction begin anew at its revision. Null when it was compacted further meanwhile, which the watch will be told.
 */
async function standing(
  host: Host,
  namespace: string,
  { range, from }: Pick<WatchedSince, 'range' | 'from'>,
): Promise<Batch | null> {
  const query = { ...range, at: from, minModRevision: from, maxModRevision: from };
  try {
    const { entries } = await host.read(namespace, query);
    return { revision: from, changes: entries.map((entry) => ({ kind: 'put', entry })) };
  } catch (error) {
    if (isWaymarkError(error, 'compacted')) return null;
    throw error;
  }
}
