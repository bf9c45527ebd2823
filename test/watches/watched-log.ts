import type { Change, Operation, Outcome } from 'waymark/engine';
import type { LoggedChange, SeenChange } from 'waymark/testing';

/** What was written, put together from the answers alone, so that no watch vouches for another. */
export class WrittenLog {
  readonly #commits: { readonly revision: number; readonly operations: readonly Operation[] }[] =
    [];

  add(operations: readonly Operation[], outcome: Outcome): void {
    this.#commits.push({ revision: outcome.revision, operations });
  }

  /** Every change there was, in order. Deletes of what was absent are none. */
  changes(): LoggedChange[] {
    const live = new Map<string, LoggedChange>();
    const log: LoggedChange[] = [];
    for (const { revision, operations } of [...this.#commits].sort(
      (a, b) => a.revision - b.revision,
    )) {
      for (const operation of operations) {
        if (operation.type === 'put') {
          const { key, value } = operation;
          const before = live.get(key);
          const createRevision = before?.createRevision ?? revision;
          const version = (before?.version ?? 0) + 1;
          const change: LoggedChange = {
            revision,
            key,
            kind: 'put',
            value,
            version,
            createRevision,
          };
          live.set(key, change);
          log.push(change);
        } else if (operation.type === 'delete' && live.delete(operation.key)) {
          const gone = { kind: 'delete', value: '', version: 0, createRevision: 0 } as const;
          log.push({ revision, key: operation.key, ...gone });
        }
      }
    }
    return log;
  }
}

export function seenChange({ kind, entry, previous }: Change): SeenChange {
  const { key, value, modRevision, version, createRevision } = entry;
  const seen = {
    revision: modRevision,
    key,
    kind,
    value,
    version,
    createRevision: kind === 'put' ? createRevision : 0,
  };
  if (previous === undefined) return seen;
  if (previous === null) return { ...seen, previous: null };
  const before = {
    value: previous.value,
    revision: previous.modRevision,
    createRevision: previous.createRevision,
    version: previous.version,
  };
  return { ...seen, previous: before };
}

/** The entries that were live at a revision, as `key@revision`, in key order. */
export function stateAt(
  log: readonly LoggedChange[],
  revision: number,
  matches: (key: string) => boolean,
): string[] {
  const live = new Map<string, number>();
  for (const change of log) {
    if (change.revision > revision) break;
    if (change.kind === 'put') live.set(change.key, change.revision);
    else live.delete(change.key);
  }
  return [...live.keys()]
    .filter(matches)
    .sort()
    .map((key) => `${key}@${live.get(key)}`);
}
