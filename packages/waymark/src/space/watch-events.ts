import { bytesToText } from '../core/bytes.js';
import type { Clock } from '../core/clock.js';
import type { Batch, Change, Entry, Revision } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { JoinedSignal } from '../core/joined-signal.js';
import { decodeParty } from '../recipes/lock-queue.js';
import type { Crowds } from './crowd.js';
import { auditRange, parseMark } from './layout.js';
import type { AuditRecord } from './mark-watch.js';
import { bytesToPath } from './paths.js';
import type { Seen } from './seen.js';
import type { PathEntry, WatchCall, WatchEvent } from './types.js';

export interface WatchParts<T> {
  readonly host: Host;
  readonly clock: Clock;
  readonly namespace: string;
  readonly path: string;
  readonly call: WatchCall;
  /** A signal that ends with the space as well. */
  readonly join: (signal: AbortSignal | undefined) => JoinedSignal;
  readonly toEntry: (entry: Entry) => PathEntry<T>;
  /** What a watch of this view told last: others tell the same changes, and decode them once. */
  readonly last: LastBatch<T>;
  /** Where watches meet that watch the same; null for a watch with a beginning or an end of its own. */
  readonly crowds: { readonly of: Crowds<T>; readonly key: string } | null;
}

export interface LastBatch<T> {
  batch: Batch | null;
  told: ToldBatch<T>;
}

interface ToldBatch<T> {
  readonly events: readonly WatchEvent<T>[];
  /** What its keys come to, in order: the newest revision, null for one that is gone. */
  readonly keys: readonly string[];
  readonly revisions: readonly (Revision | null)[];
}

export function noBatch<T>(): LastBatch<T> {
  return { batch: null, told: { events: [], keys: [], revisions: [] } };
}

/**
 * @param last  null: entries before the changes are decoded for who asked alone
 * @param seen  is brought up to the batch
 */
export function eventsOf<T>(
  parts: WatchParts<T>,
  last: LastBatch<T> | null,
  batch: Batch,
  seen: Seen,
): readonly WatchEvent<T>[] {
  const known = last !== null && last.batch !== null && sameChanges(last.batch, batch);
  const told = known ? last.told : tell(parts, batch);
  if (last !== null && !known) {
    last.batch = batch;
    last.told = told;
  }
  const { keys, revisions } = told;
  for (let i = 0; i < keys.length; i++) {
    const revision = revisions[i] as Revision | null;
    if (revision === null) seen.delete(keys[i] as string);
    else seen.set(keys[i] as string, revision);
  }
  return told.events;
}

/** Engines give all watches the same change; those over a server even share the batch. */
function sameChanges(a: Batch, b: Batch): boolean {
  if (a === b) return true;
  const { length } = a.changes;
  if (length !== b.changes.length) return false;
  for (let i = 0; i < length; i++) if (a.changes[i] !== b.changes[i]) return false;
  return length > 0;
}

function tell<T>(parts: WatchParts<T>, batch: Batch): ToldBatch<T> {
  const events: WatchEvent<T>[] = [];
  const keys: string[] = [];
  const revisions: (Revision | null)[] = [];
  for (const change of batch.changes) {
    const { kind, entry } = change;
    if (entry.key.startsWith(auditRange.key)) {
      endWhenRemoved(parts.namespace, change);
      continue;
    }
    keys.push(entry.key);
    revisions.push(kind === 'put' ? entry.modRevision : null);
    events.push(entry.key.startsWith('h') ? lockEvent(change) : dataEvent(parts, change));
  }
  return { events, keys, revisions };
}

function dataEvent<T>(parts: WatchParts<T>, change: Change): WatchEvent<T> {
  const { kind, entry } = change;
  if (kind === 'put' && parts.call.previous !== true) return putEvent(parts, entry, false);
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

export function initialEvent<T>(parts: WatchParts<T>, entry: Entry): WatchEvent<T> {
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

export function* difference<T>(
  parts: WatchParts<T>,
  present: readonly Entry[],
  seen: Seen,
  revision: Revision,
): Generator<WatchEvent<T>> {
  const gone = new Set(seen.keys());
  for (const entry of present) {
    gone.delete(entry.key);
    if (seen.get(entry.key) === entry.modRevision) continue;
    seen.set(entry.key, entry.modRevision);
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
