import type { KnownEntry, LoggedChange } from './commit-history.js';

/**
 * The nine rules of a watch (they are those of etcd's robustness tests), over what one watcher recorded and the replayed log:
 * ordered, unique, reliable, atomic, resumable, bookmarkable, and the previous entry, the version and the filter are right.
 */
export type WatchRule =
  | 'ordered'
  | 'unique'
  | 'reliable'
  | 'atomic'
  | 'resumable'
  | 'bookmarkable'
  | 'previous'
  | 'version'
  | 'filter';

export interface SeenChange extends LoggedChange {
  /** When the watch asked for it: the entry before, null for none. */
  readonly previous?: KnownEntry | null | undefined;
}

/** What a watcher met, in order. */
export type WatchRecord =
  /** One delivery: changes of whole revisions up to and with `revision`; without changes a bookmark. */
  | { readonly type: 'batch'; readonly revision: number; readonly changes: readonly SeenChange[] }
  /** The watch was lost and asked for again, after this revision. */
  | { readonly type: 'resumed'; readonly after: number };

export interface WatchStream {
  /** Where it began: all after this revision is due. */
  readonly after: number;
  readonly records: readonly WatchRecord[];
  /** Which keys were asked for. */
  readonly matches: (key: string) => boolean;
}

export interface WatchBreak {
  readonly rule: WatchRule;
  readonly revision: number;
  readonly message: string;
}

export function checkWatch(stream: WatchStream, log: readonly LoggedChange[]): WatchBreak[] {
  const due = dueChanges(stream, log);
  const inLine = [...due];
  const broken: WatchBreak[] = [];
  const seen = new Set<string>();
  /** Everything up to here has been delivered. */
  let done = stream.after;
  let newest = stream.after;
  let lastChange = stream.after;
  const tell = (rule: WatchRule, revision: number, message: string): void =>
    void broken.push({ rule, revision, message });

  for (const record of stream.records) {
    if (record.type === 'resumed') {
      if (record.after > done || record.after < lastChange) {
        const delivered = `changes up to ${lastChange}, all up to ${done}`;
        tell('resumable', record.after, `resumed after ${record.after}, delivered ${delivered}`);
      }
      done = Math.min(done, record.after);
      newest = done;
      continue;
    }
    if (record.revision < newest)
      tell('bookmarkable', record.revision, `batch up to ${record.revision} after ${newest}`);
    for (const change of record.changes) {
      const name = `${change.revision} ${change.key}`;
      if (change.revision < newest)
        tell('ordered', change.revision, `${name} came after ${newest}`);
      if (change.revision <= done && !seen.has(name))
        tell('resumable', change.revision, `${name} is not after ${done}`);
      if (change.revision > record.revision)
        tell('bookmarkable', change.revision, `${name} in a batch up to ${record.revision}`);
      if (seen.has(name)) tell('unique', change.revision, `${name} came twice`);
      if (!stream.matches(change.key)) tell('filter', change.revision, `${name} was not asked for`);
      seen.add(name);
      newest = Math.max(newest, change.revision);
      lastChange = Math.max(lastChange, change.revision);
      compare(change, due.get(name), tell);
    }
    missing(record, done, inLine, tell);
    done = Math.max(done, record.revision);
    newest = Math.max(newest, done);
  }
  return broken;
}

type Tell = (rule: WatchRule, revision: number, message: string) => void;

interface Due extends LoggedChange {
  readonly before: KnownEntry | null;
}

/** What the stream must bring, by revision and key, with the entry before each. */
function dueChanges(stream: WatchStream, log: readonly LoggedChange[]): Map<string, Due> {
  const state = new Map<string, KnownEntry>();
  const due = new Map<string, Due>();
  for (const change of log) {
    const { key, kind, value, revision, createRevision, version } = change;
    const before = state.get(key) ?? null;
    if (revision > stream.after && stream.matches(key))
      due.set(`${revision} ${key}`, { ...change, before });
    if (kind === 'put') state.set(key, { value, revision, createRevision, version });
    else state.delete(key);
  }
  return due;
}

function compare(change: SeenChange, due: Due | undefined, tell: Tell): void {
  const name = `${change.revision} ${change.key}`;
  if (due === undefined) {
    tell('reliable', change.revision, `${name} is not in the log`);
    return;
  }
  if (change.kind !== due.kind || change.value !== due.value) {
    tell(
      'reliable',
      change.revision,
      `${name} is ${change.kind} ${change.value}, the log has ${due.kind} ${due.value}`,
    );
  }
  if (change.version !== due.version || change.createRevision !== due.createRevision) {
    const told = `version ${change.version}, created ${change.createRevision}`;
    tell(
      'version',
      change.revision,
      `${name} tells ${told}; the log ${due.version}, ${due.createRevision}`,
    );
  }
  if (
    change.previous !== undefined &&
    JSON.stringify(inOrder(change.previous)) !== JSON.stringify(inOrder(due.before))
  ) {
    tell(
      'previous',
      change.revision,
      `${name} tells ${JSON.stringify(change.previous)} before it, the log ${JSON.stringify(due.before)}`,
    );
  }
}

/** What a batch passed over: a whole revision breaks `reliable`, a part of one `atomic`. */
function missing(
  batch: { readonly revision: number; readonly changes: readonly SeenChange[] },
  done: number,
  due: readonly (readonly [string, Due])[],
  tell: Tell,
): void {
  const here = new Set(batch.changes.map((change) => `${change.revision} ${change.key}`));
  const revisions = new Set(batch.changes.map((change) => change.revision));
  for (let at = firstAfter(due, done); at < due.length; at++) {
    const [name, { revision }] = due[at] as readonly [string, Due];
    if (revision > batch.revision) return;
    if (here.has(name)) continue;
    if (revisions.has(revision)) {
      const others = batch.changes.filter((change) => change.revision === revision);
      const told = others.map(({ kind, key }) => `${kind} ${key}`).join(', ');
      tell('atomic', revision, `${name} is not in the batch of its revision, which has ${told}`);
    } else tell('reliable', revision, `${name} was passed over by a batch up to ${batch.revision}`);
  }
}

function firstAfter(due: readonly (readonly [string, Due])[], revision: number): number {
  let [low, high] = [0, due.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((due[middle] as readonly [string, Due])[1].revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}

function inOrder(entry: KnownEntry | null): unknown {
  return entry === null ? null : [entry.value, entry.revision, entry.createRevision, entry.version];
}
