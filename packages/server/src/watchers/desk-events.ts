import {
  type CallOptions,
  type Clock,
  type Engine,
  type Entry,
  isWaymarkError,
  type WatcherEvent,
  WaymarkError,
} from 'waymark/engine';
import type { EventRecord } from './event-put.js';
import { all, lastPart } from './keys.js';
import { decodeRecord } from './records.js';

/** Sorts after all that ids are made of. */
const last = '~';
const waitMsMax = 600_000;
const limitMax = 1_000;

export interface EventsCall extends CallOptions {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly waitMs: number;
}

export interface EventsAfter {
  readonly events: readonly WatcherEvent[];
  readonly after: string;
}

/** Events by the revision they were put at, and in the order of their keys within one. */
export async function eventsAfter(
  { engine, clock }: { readonly engine: Engine; readonly clock: Clock },
  call: EventsCall,
): Promise<EventsAfter> {
  const { signal, waitMs } = call;
  const limit = Math.min(Math.max(1, Math.trunc(call.limit)), limitMax);
  if (call.after === undefined) {
    const { revision } = await engine.read({ ...all.events, countOnly: true }, { signal });
    return { events: [], after: idOf(revision, last) };
  }
  const from = positionOf(call.after);
  const first = await readAfter(engine, from, limit, signal);
  if (first.events.length > 0 || !(waitMs > 0))
    return { ...first, after: afterOf(first, call.after) };
  const late = new AbortController();
  const disarm = clock.after(Math.min(waitMs, waitMsMax), () => late.abort());
  const until = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  try {
    await changeAfter(engine, first.revision, until);
  } catch (error) {
    signal?.throwIfAborted();
    if (!late.signal.aborted) throw error;
  } finally {
    disarm();
  }
  const next = await readAfter(engine, from, limit, signal);
  return { events: next.events, after: afterOf(next, call.after) };
}

interface Position {
  readonly revision: number;
  readonly part: string;
}

async function readAfter(
  engine: Engine,
  { revision, part }: Position,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly events: readonly WatcherEvent[]; readonly revision: number }> {
  const own = { ...all.events, minModRevision: revision, uncounted: true };
  // Those of its own revision that were told are few: a revision holds one event, or some where an engine groups commits.
  const same = await engine.read({ ...own, maxModRevision: revision }, { signal });
  const most = limit + same.entries.length;
  const query = { ...own, orderBy: 'mod', limit: most } as const;
  const { entries, revision: present } = await engine.read(query, { signal });
  const untold = entries.filter(
    ({ key, modRevision }) => modRevision > revision || lastPart(key) > part,
  );
  return { events: untold.slice(0, limit).map(eventOf), revision: present };
}

async function changeAfter(engine: Engine, after: number, signal: AbortSignal): Promise<void> {
  try {
    for await (const { changes } of engine.watch([all.events], { after, signal })) {
      if (changes.some(({ kind }) => kind === 'put')) return;
    }
  } catch (error) {
    // Then it is read again.
    if (!isWaymarkError(error, 'compacted')) throw error;
  }
}

function eventOf({ key, value, modRevision }: Entry): WatcherEvent {
  return { id: idOf(modRevision, lastPart(key)), ...decodeRecord<EventRecord>(value) };
}

function idOf(revision: number, part: string): string {
  return `${String(revision).padStart(16, '0')}.${part}`;
}

function afterOf({ events }: { readonly events: readonly WatcherEvent[] }, before: string): string {
  return events.at(-1)?.id ?? before;
}

function positionOf(id: unknown): Position {
  if (id === '0') return { revision: 0, part: '' };
  const match = typeof id === 'string' ? /^(\d{16})\.([\w~-]{1,64})$/.exec(id) : null;
  if (match !== null) return { revision: Number(match[1]), part: match[2] ?? '' };
  throw new WaymarkError('invalid', 'this is no id of an event of watchers');
}
