import type { KeyRange } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { isWaymarkError } from '../core/errors.js';

/**
 * Tells once when the entry that was created at `created` within `range` is gone. Where the host is out of reach nothing is told: the
 * hold's own deadline decides.
 *
 * @returns stops looking
 */
export function watchKeyGone(
  host: Host,
  namespace: string,
  range: KeyRange,
  created: number,
  lost: (why: string) => void,
): () => void {
  const ended = new AbortController();
  const look = async (): Promise<void> => {
    for (;;) {
      const { entries, revision } = await host.read(namespace, range, { signal: ended.signal });
      if (!entries.some((entry) => entry.createRevision === created)) return lost('ended');
      try {
        const options = { after: revision, signal: ended.signal, previous: true };
        for await (const { changes } of host.watch(namespace, [range], options)) {
          const gone = changes.find(
            ({ kind, previous }) => kind !== 'put' && previous?.createRevision === created,
          );
          if (gone === undefined) continue;
          return lost(
            gone.kind === 'expire' ? 'ended: its lease ended' : 'ended: it was taken away',
          );
        }
        return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  };
  look().catch(() => undefined);
  return () => ended.abort();
}
