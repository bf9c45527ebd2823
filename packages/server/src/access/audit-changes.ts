import { type Batch, bytesToText, type KeyRange, prefixRange } from 'waymark/engine';

/** Records of force-unlocks and of removal, which watches of a path listen to as well: they hold paths, so each is told to who may read its own. */
const stem = 'w/audit/';
export const auditRange = prefixRange(stem);

export function isAuditRange({ key, end }: KeyRange): boolean {
  return key === auditRange.key && end === auditRange.end;
}

/** @returns null when nothing is left of it */
export function auditKept(batch: Batch, may: (path: string) => boolean): Batch | null {
  if (!batch.changes.some(({ entry }) => entry.key.startsWith(stem))) return batch;
  const changes = batch.changes.filter(({ entry }) => {
    if (!entry.key.startsWith(stem)) return true;
    const { act, path } = recordIn(entry.value);
    return act === 'remove-namespace' || (path !== null && may(path));
  });
  return changes.length === 0 ? null : { ...batch, changes };
}

function recordIn(value: string): { readonly act: unknown; readonly path: string | null } {
  try {
    const { act, path } = JSON.parse(bytesToText(value)) as { act?: unknown; path?: unknown };
    return { act, path: typeof path === 'string' ? path : null };
  } catch {
    return { act: null, path: null };
  }
}
