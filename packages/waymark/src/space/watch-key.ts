import type { Change, KeyRange, Revision } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { bytesToText } from '../core/bytes.js';
import { isWaymarkError } from '../core/errors.js';
import { auditRange } from './layout.js';

/**
 * Tells once when the entry that was created at `created` within `range` is gone, and what became of it. It looks at all that happened
 * since then, so that what ended before anybody looked is told with its reason too. Where the host is out of reach nothing is told: the
 * hold's own deadline decides.
 *
 * @returns stops looking
 */
export function watchKeyGone(
  host: Host,
  namespace: string,
  range: KeyRange,
  created: Revision,
  lost: (why: string) => void,
): () => void {
  const ended = new AbortController();
  const { signal } = ended;
  const look = async (): Promise<void> => {
    for (let after = created; ;) {
      try {
        const options = { after, signal, previous: true };
        for await (const { changes } of host.watch(namespace, [range], options)) {
          const gone = changes.find(
            ({ kind, previous }) => kind !== 'put' && previous?.createRevision === created,
          );
          if (gone !== undefined) return lost(await howItEnded(host, namespace, gone, signal));
        }
        return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
      const { entries, revision } = await host.read(namespace, range, { signal });
      if (!entries.some((entry) => entry.createRevision === created)) return lost('ended');
      after = revision;
    }
  };
  look().catch(() => undefined);
  return () => ended.abort();
}

/** The removal of a namespace leaves a record in the revision that ends its holds. */
async function howItEnded(
  host: Host,
  namespace: string,
  { kind, entry: { modRevision: at } }: Change,
  signal: AbortSignal,
): Promise<string> {
  if (kind === 'expire') return 'ended: its lease ended';
  const newest = { ...auditRange, at, orderBy: 'mod', descending: true, limit: 1 } as const;
  // History may be compacted by now.
  const { entries } = await host.read(namespace, newest, { signal }).catch(() => ({ entries: [] }));
  const [record] = entries;
  if (record?.modRevision !== at) return 'ended: it was taken away';
  return `ended: ${(JSON.parse(bytesToText(record.value)) as { reason: string }).reason}`;
}
