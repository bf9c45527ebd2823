import type { Batch, Change, Entry, KeyRange, Revision, WatchOptions } from '../core/engine.js';
import type { Host } from '../core/host.js';
import type { Clock } from '../core/clock.js';
import { bytesToText } from '../core/bytes.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { auditRange, below, dataKey, exactly, parseMark } from './layout.js';
import type { AuditRecord } from './mark-watch.js';
import { bytesToPath, pathToBytes } from './paths.js';
import { EventIterator } from './event-iterator.js';
import type { PathEntry, WatchCall, WatchEvent } from './types.js';

/** What a resync compares with is remembered for so many paths; beyond it, the deletions among them cannot be told. */
const rememberedMax = 1_000_000;
const pageSize = 1_000;
const retryMs = 200;

export interface WatchParts<T> {
  readonly host: Host;
  readonly clock: Clock;
  readonly namespace: string;
  readonly path: string;
  readonly call: WatchCall;
  readonly toEntry: (entry: Entry) => PathEntry<T>;
  /** Events by the change they tell of: many watches of one view share a change, and decode it once. */
  readonly told: WeakMap<Change, WatchEvent<T>>;
}

/** Events of whole revisions. */
export interface EventGroup<T> {
  readonly events: readonly WatchEvent<T>[];
  /** Resume after this once the events are handled; undefined in the middle of a snapshot, which must be begun anew. */
  readonly resume: Revision | undefined;
}

/**
 * A gapless watch: what is there, read page by page at one revision; then every change after it. When the history it needs was
 * compacted, it reads the present again and yields one `resync` and the difference. Ends with `superseded` when the namespace is
 * removed or the engine is another one.
 */
export function watchPath<T>(parts: WatchParts<T>): AsyncIterableIterator<WatchEvent<T>> {
  const left = new AbortController();
  const { signal: given } = parts.call;
  const signal = given === undefined ? left.signal : AbortSignal.any([given, left.signal]);
  const groups = watchGroups({ ...parts, call: { ...parts.call, signal } });
  return new EventIterator(groups, () => left.abort());
}

export async function* watchGroups<T>(
  parts: WatchParts<T>,
): AsyncGenerator<EventGroup<T>, undefined> {
  const { host, call, namespace } = parts;
  const { signal } = call;
  const ranges = rangesOf(parts.path, call);
  const seen = new Map<string, Revision>();
  let { identity } = call;
  let after: Revision;
  if (call.after !== undefined) after = call.after;
  else {
    const present = await snapshot(parts, ranges);
    ({ identity, revision: after } = present);
    yield* initialGroups(parts, present.entries, seen, after);
  }
  // An unlock tells whose lock it was: that is in the mark before.
  const previous = call.previous === true || call.locks !== false;
  for (;;) {
    try {
      const options: WatchOptions = { after, identity, previous, signal };
      for await (const batch of host.watch(namespace, [...ranges, auditRange], options)) {
        after = batch.revision;
        yield { events: eventsOf(parts, batch, seen), resume: after };
      }
      return;
    } catch (error) {
      if (isWaymarkError(error, 'unavailable') && signal?.aborted !== true) {
        if ((await host.status({ signal }).catch(() => null)) === null) throw error;
        await pause(parts.clock, signal);
        continue;
      }
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
    const from = after;
    const present = await snapshot(parts, ranges);
    after = present.revision;
    const resync: WatchEvent<T> = { kind: 'resync', path: parts.path, revision: after, from };
    yield { events: [resync, ...difference(parts, present.entries, seen, after)], resume: after };
  }
}

function* initialGroups<T>(
  parts: WatchParts<T>,
  entries: readonly Entry[],
  seen: Map<string, Revision>,
  revision: Revision,
): Generator<EventGroup<T>> {
  for (let at = 0; at < entries.length; at += pageSize) {
    const page = entries.slice(at, at + pageSize);
    for (const entry of page) remember(seen, entry.key, entry.modRevision);
    yield { events: page.map((entry) => initialEvent(parts, entry)), resume: undefined };
  }
  yield { events: [], resume: revision };
}

function rangesOf(path: string, call: WatchCall): KeyRange[] {
  const bytes = pathToBytes(path);
  const ranges: KeyRange[] = [{ key: dataKey(bytes) }];
  if (call.tree === true) ranges.push(below('d', bytes));
  if (call.locks === false) return ranges;
  ranges.push(exactly('h', bytes));
  if (call.tree === true) ranges.push(below('h', bytes));
  return ranges;
}

interface Present {
  readonly identity: string;
  readonly revision: Revision;
  readonly entries: readonly Entry[];
}

/** The present, whole at one revision; begun anew when compaction overtakes it. */
async function snapshot<T>(parts: WatchParts<T>, ranges: readonly KeyRange[]): Promise<Present> {
  const { signal } = parts.call;
  for (;;) {
    const { identity, revision } = await parts.host.status({ signal });
    try {
      const entries: Entry[] = [];
      for (const range of ranges) await readInto(entries, parts, range, revision);
      return { identity, revision, entries };
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }
}

async function readInto<T>(
  entries: Entry[],
  parts: WatchParts<T>,
  range: KeyRange,
  at: Revision,
): Promise<void> {
  const { signal } = parts.call;
  for (let key = range.key; ;) {
    const query = { key, end: range.end, at, limit: pageSize, uncounted: true };
    const page = await parts.host.read(parts.namespace, query, { signal });
    entries.push(...page.entries);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return;
    key = `${last.key}\0`;
  }
}

function eventsOf<T>(
  parts: WatchParts<T>,
  batch: Batch,
  seen: Map<string, Revision>,
): WatchEvent<T>[] {
  const events: WatchEvent<T>[] = [];
  for (const change of batch.changes) {
    const { kind, entry } = change;
    if (entry.key.startsWith(auditRange.key)) {
      endWhenRemoved(parts.namespace, change);
      continue;
    }
    if (kind === 'put') remember(seen, entry.key, entry.modRevision);
    else seen.delete(entry.key);
    events.push(eventOf(parts, change));
  }
  return events;
}

function eventOf<T>(parts: WatchParts<T>, change: Change): WatchEvent<T> {
  if (change.entry.key.startsWith('h')) return lockEvent(change);
  if (parts.call.previous === true) return dataEvent(parts, change);
  let event = parts.told.get(change);
  if (event === undefined) {
    event = dataEvent(parts, change);
    parts.told.set(change, event);
  }
  return event;
}

function dataEvent<T>(parts: WatchParts<T>, change: Change): WatchEvent<T> {
  const { kind, entry } = change;
  const revision = entry.modRevision;
  const asked = parts.call.previous === true && change.previous !== undefined;
  const previous = asked ? { previous: change.previous && parts.toEntry(change.previous) } : {};
  if (kind !== 'put') return { kind, path: bytesToPath(entry.key.slice(1)), revision, ...previous };
  return { ...putEvent(parts, entry, false), ...previous };
}

function putEvent<T>(
  parts: WatchParts<T>,
  entry: Entry,
  initial: boolean,
): WatchEvent<T> & { kind: 'put' } {
  const decoded = parts.toEntry(entry);
  const { path, value, revision } = decoded;
  return { kind: 'put', path, value, revision, entry: decoded, initial };
}

function initialEvent<T>(parts: WatchParts<T>, entry: Entry): WatchEvent<T> {
  if (!entry.key.startsWith('h')) return putEvent(parts, entry, true);
  return { ...lockEvent({ kind: 'put', entry }), initial: true };
}

function lockEvent<T>(change: Change): WatchEvent<T> & { kind: 'lock' | 'unlock' } {
  const { kind, entry } = change;
  const { path, tree, mode } = parseMark(entry.key);
  const known = kind === 'put' ? entry : change.previous;
  const token = known?.createRevision ?? 0;
  const owner = known == null ? '' : decodeParty(known.value).owner;
  return {
    kind: kind === 'put' ? 'lock' : 'unlock',
    path,
    revision: entry.modRevision,
    lock: { token, tree, mode, owner },
    expired: kind === 'expire',
    initial: false,
  };
}

function endWhenRemoved(namespace: string, change: Change): void {
  if (change.kind !== 'put') return;
  const record = JSON.parse(bytesToText(change.entry.value)) as AuditRecord;
  if (record.act !== 'remove-namespace') return;
  throw new WaymarkError('superseded', `namespace ${namespace} was removed`, { namespace });
}

function* difference<T>(
  parts: WatchParts<T>,
  present: readonly Entry[],
  seen: Map<string, Revision>,
  revision: Revision,
): Generator<WatchEvent<T>> {
  const gone = new Set(seen.keys());
  for (const entry of present) {
    gone.delete(entry.key);
    if (seen.get(entry.key) === entry.modRevision) continue;
    remember(seen, entry.key, entry.modRevision);
    yield entry.key.startsWith('h')
      ? lockEvent({ kind: 'put', entry })
      : putEvent(parts, entry, false);
  }
  for (const key of gone) {
    seen.delete(key);
    const entry = {
      key,
      value: '',
      createRevision: 0,
      modRevision: revision,
      version: 0,
      lease: 0,
    };
    const change: Change = { kind: 'delete', entry };
    yield key.startsWith('h') ? lockEvent(change) : dataEvent(parts, change);
  }
}

function remember(seen: Map<string, Revision>, key: string, revision: Revision): void {
  if (seen.size < rememberedMax || seen.has(key)) seen.set(key, revision);
}

function pause(clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      disarm();
      reject(signal?.reason as Error);
    };
    const disarm = clock.after(retryMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
