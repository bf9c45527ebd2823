import {
  type ByteString,
  type CallOptions,
  type Check,
  type Entry,
  type KeyRange,
  type Operation,
  type WatcherEventKind,
  WaymarkError,
} from 'waymark/engine';
import { readKeys } from './desk-reads.js';
import { eventPut } from './event-put.js';
import {
  backlogKey,
  endpointKey,
  keysOfWatcher,
  lettersAgainKey,
  liveKey,
  memberKey,
  ofEndpoint,
  watcherKey,
} from './keys.js';
import {
  type BacklogRecord,
  decodeRecord,
  encodeRecord,
  type EndpointRecord,
  type LiveRecord,
  type WatcherRecord,
} from './records.js';
import { type DeskParts, futureRevision, isOver, unchanged } from './registration.js';
import { cursorOf } from './watcher-infos.js';

/** One try each; undefined when others changed the same meanwhile. */

interface Standing {
  readonly record: WatcherRecord;
  readonly live: Entry | undefined;
  readonly backlog: Entry | undefined;
  readonly shared: Entry;
  readonly revision: number;
}

/** @throws {WaymarkError} `not_found` */
async function standing(parts: DeskParts, id: string, call: CallOptions): Promise<Standing> {
  const { engine, clock } = parts;
  const [entry] = (await engine.read({ key: watcherKey(id) }, call)).entries;
  const record = entry === undefined ? null : decodeRecord<WatcherRecord>(entry.value);
  const none = new WaymarkError('not_found', `there is no watcher ${id}`);
  if (record === null || isOver(record, clock.wallNow())) throw none;
  const { endpoint } = record;
  const keys = [liveKey(id), backlogKey(endpoint, id), endpointKey(endpoint)];
  const { entries, revision } = await readKeys(engine, keys, call);
  const [live, backlog, shared] = entries;
  if (live === undefined || shared === undefined) throw none;
  return { record, live, backlog, shared, revision };
}

export async function removeWatcher(
  parts: DeskParts,
  id: string,
  call: CallOptions,
): Promise<boolean | undefined> {
  const { engine } = parts;
  const [entry] = (await engine.read({ key: watcherKey(id) }, call)).entries;
  if (entry === undefined) return false;
  const { endpoint } = decodeRecord<WatcherRecord>(entry.value);
  const range = ofEndpoint('i', endpoint);
  const own = memberKey(endpoint, id);
  const beside = { ...range, limit: 2, keysOnly: true, uncounted: true };
  const members = (await engine.read(beside, call)).entries.map(({ key }) => key);
  const other = members.find((key) => key !== own);
  const [shared] = (await engine.read({ key: endpointKey(endpoint) }, call)).entries;
  const normal = shared === undefined ? '' : decodeRecord<EndpointRecord>(shared.value).normal;
  const told = { kind: 'removed', watchers: [id], normal, detail: 'by a call' } as const;
  const stands = [
    { key: watcherKey(id), target: 'create', is: '=', to: entry.createRevision },
  ] as const;
  const outcome = await engine.commit(
    {
      when: [...stands, ...(other === undefined ? aloneIn(range, own) : [isThere(other)])],
      apply: [
        ...keysOfWatcher(endpoint, id).map((key) => ({ type: 'delete', key }) as const),
        ...(other === undefined ? endOf(endpoint) : []),
        eventPut(parts, told),
      ],
    },
    call,
  );
  return outcome.succeeded ? true : undefined;
}

/** What goes with the last watcher. Who holds the endpoint deletes its hold and its state. */
function endOf(endpoint: string): Operation[] {
  const ranges = (['d', 't'] as const).map((part) => {
    return { type: 'delete', ...ofEndpoint(part, endpoint) } as const;
  });
  const keys = [endpointKey(endpoint), lettersAgainKey(endpoint)];
  return [...keys.map((key) => ({ type: 'delete', key }) as const), ...ranges];
}

/** No key in the range but this one. */
function aloneIn({ key, end }: KeyRange, own: ByteString): Check[] {
  const none = { target: 'create', is: '=', to: 0 } as const;
  return [
    { key, end: own, ...none },
    { key: `${own}\0`, end, ...none },
  ];
}

function isThere(key: ByteString): Check {
  return { key, target: 'version', is: '>', to: 0 };
}

/** Pauses what is live; what stands still already stays as it is. */
export async function stopWatcher(
  parts: DeskParts,
  id: string,
  call: CallOptions,
): Promise<true | undefined> {
  const now = await standing(parts, id, call);
  const { live } = now;
  if (live === undefined || stoppedIn(live) !== null) return true;
  const record: LiveRecord = { stopped: 'paused', since: live.modRevision };
  const put = { type: 'put', key: liveKey(id), value: encodeRecord(record) } as const;
  return await write(parts, id, now, { kind: 'paused', detail: 'by a call', apply: [put] }, call);
}

export async function resumeWatcher(
  parts: DeskParts,
  id: string,
  call: CallOptions,
): Promise<true | undefined> {
  const now = await standing(parts, id, call);
  const { live, record } = now;
  if (live === undefined || stoppedIn(live) === null) return true;
  // What came before it stopped and was not accepted is missed as well.
  const cursor = await cursorOf(parts.engine, record.endpoint, call);
  const missed = Math.min(live.modRevision, cursor);
  const next: LiveRecord = { stopped: null, since: null };
  const apply = [
    { type: 'put', key: liveKey(id), value: encodeRecord(next) } as const,
    lateFrom(now, id, missed, false),
  ];
  const detail = `goes on after revision ${missed}`;
  return await write(parts, id, now, { kind: 'resumed', detail, apply }, call);
}

/** @throws {WaymarkError} `not_found`, `future_revision`; `conflict` while it stands still */
export async function replayWatcher(
  parts: DeskParts,
  id: string,
  after: number,
  call: CallOptions,
): Promise<true | undefined> {
  const now = await standing(parts, id, call);
  if (after > now.revision) throw futureRevision(after, now.revision);
  if (now.live !== undefined && stoppedIn(now.live) !== null) {
    const text = 'it stands still: resume it first, then it is told what it missed';
    throw new WaymarkError('conflict', text);
  }
  const detail = `what came after revision ${after} is told again`;
  const apply = [lateFrom(now, id, after, true)];
  return await write(parts, id, now, { kind: 'replay', detail, apply }, call);
}

/** What it is still to be told late is not forgotten by being asked for more. */
function lateFrom(
  { record, backlog }: Standing,
  id: string,
  after: number,
  replay: boolean,
): Operation {
  const before = backlog === undefined ? null : decodeRecord<BacklogRecord>(backlog.value);
  const from = before === null ? after : Math.min(after, before.after);
  const late: BacklogRecord = { after: from, replay: replay || before?.replay === true };
  return { type: 'put', key: backlogKey(record.endpoint, id), value: encodeRecord(late) };
}

async function write(
  parts: DeskParts,
  id: string,
  { record, live, backlog, shared }: Standing,
  what: {
    readonly kind: WatcherEventKind;
    readonly detail: string;
    readonly apply: readonly Operation[];
  },
  call: CallOptions,
): Promise<true | undefined> {
  const { normal } = decodeRecord<EndpointRecord>(shared.value);
  const { kind, detail, apply } = what;
  const { succeeded } = await parts.engine.commit(
    {
      when: [
        unchanged(liveKey(id), live),
        unchanged(backlogKey(record.endpoint, id), backlog),
        isThere(endpointKey(record.endpoint)),
      ],
      apply: [...apply, eventPut(parts, { kind, watchers: [id], normal, detail })],
    },
    call,
  );
  return succeeded ? true : undefined;
}

function stoppedIn({ value }: Entry): LiveRecord['stopped'] {
  return decodeRecord<LiveRecord>(value).stopped;
}
