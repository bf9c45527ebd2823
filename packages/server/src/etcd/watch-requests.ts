import { watchFilter, type WatchCreateRequest } from 'waymark/etcd';
import { clamped } from './entries.js';
import type { AskedWatch } from './stream-watch.js';
import { watchIdField } from './watch-bytes.js';

/** Filters that etcd does not know filter nothing, as there. */
export function askedWatchOf(request: WatchCreateRequest, id: bigint): AskedWatch {
  const { startRevision, filters, fragment, progressNotify } = request;
  return {
    id,
    idField: watchIdField(id),
    from: clamped(startRevision),
    puts: !filters.includes(watchFilter.noPut),
    deletes: !filters.includes(watchFilter.noDelete),
    fragment,
    progress: progressNotify,
  };
}
