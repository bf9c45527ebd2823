import type {
  CallOptions,
  Clock,
  DeliveryStatus,
  Engine,
  Entry,
  Reading,
  WatcherInfo,
  WatcherState,
} from 'waymark/engine';
import { shownUri } from '../endpoints/kit/uri.js';
import { stateOf } from './acquire.js';
import { readAll } from './desk-reads.js';
import { beginning } from './endpoint-worker.js';
import { all, endpointKey, holdKey, lastPart, liveKey, ofEndpoint, stateKey } from './keys.js';
import {
  type CheckpointRecord,
  decodeRecord,
  type EndpointRecord,
  type HoldRecord,
  type LiveRecord,
  type StateRecord,
  type WatcherRecord,
} from './records.js';

export interface StoredWatcher {
  readonly id: string;
  readonly record: WatcherRecord;
}

type Checkpoints = Map<string, CheckpointRecord & { readonly modRevision: number }>;

interface SharedFacts {
  readonly record: EndpointRecord;
  readonly delivery: DeliveryStatus;
}

const perEndpoint = 4;
const rateMs = 60_000;

/** What is shown of watchers: in their order; those whose endpoint went meanwhile are left out. */
export async function infosOf(
  { engine, clock }: { readonly engine: Engine; readonly clock: Clock },
  watchers: readonly StoredWatcher[],
  call: CallOptions,
): Promise<WatcherInfo[]> {
  const endpoints = [...new Set(watchers.map(({ record }) => record.endpoint))];
  const { readings, revision } = await readAll(
    engine,
    [
      { ...all.checkpoints, uncounted: true },
      ...endpoints.flatMap((id) => [
        { key: endpointKey(id) },
        { key: stateKey(id) },
        { key: holdKey(id) },
        { ...ofEndpoint('d', id), countOnly: true },
      ]),
      ...watchers.map(({ id }) => ({ key: liveKey(id) })),
    ],
    call,
  );
  const checkpoints = checkpointsIn(readings[0]);
  const shared = new Map<string, SharedFacts>();
  for (const [at, id] of endpoints.entries()) {
    const own = readings.slice(1 + at * perEndpoint, 1 + (at + 1) * perEndpoint);
    const facts = factsOf(id, own, { checkpoints, revision, now: clock.wallNow() });
    if (facts !== null) shared.set(id, facts);
  }
  const lives = readings.slice(1 + endpoints.length * perEndpoint);
  return watchers.flatMap((watcher, at) => {
    const facts = shared.get(watcher.record.endpoint);
    return facts === undefined ? [] : [infoOf(watcher, facts, lives[at]?.entries[0])];
  });
}

function infoOf(
  { id, record }: StoredWatcher,
  { record: endpoint, delivery }: SharedFacts,
  live: Entry | undefined,
): WatcherInfo {
  const stopped = live === undefined ? null : decodeRecord<LiveRecord>(live.value).stopped;
  const state: WatcherState = stopped ?? 'active';
  const { namespace, pattern, registeredAt, expiresAt, owner, labels } = record;
  const { normal, kind, retry, end, batch, format, signed, timeoutMs } = endpoint;
  return {
    ...{ id, namespace, pattern, endpoint: shownUri(normal), kind, state },
    ...{ registeredAt, expiresAt, owner, labels },
    ...{ retry, end, batch, format, signed, timeoutMs },
    delivery,
  };
}

interface Moment {
  readonly checkpoints: Checkpoints;
  readonly revision: number;
  readonly now: number;
}

function factsOf(
  id: string,
  [endpointRead, stateRead, holdRead, lettersRead]: readonly Reading[],
  { checkpoints, revision, now }: Moment,
): SharedFacts | null {
  const entry = endpointRead?.entries[0];
  if (entry === undefined) return null;
  const stored = stateRead?.entries[0];
  const kept =
    stored === undefined
      ? null
      : { state: decodeRecord<StateRecord>(stored.value), modRevision: stored.modRevision };
  const state = stateOf({ checkpoints }, { id, begins: entry.createRevision }, kept);
  const hold = holdRead?.entries[0];
  const processor = hold === undefined ? null : decodeRecord<HoldRecord>(hold.value).processor;
  const busy = checkpoints.get(processor ?? '')?.busy.includes(id.slice(0, 16)) === true;
  const { failing, cursor, at } = state;
  const waitsSince = failing?.since ?? (busy && at > 0 ? at : now);
  const told = beginning(cursor);
  const delivery = {
    cursor: told,
    lagRevisions: Math.max(0, revision - told),
    lagSeconds: Math.max(0, now - waitsSince) / 1_000,
    attempts: failing?.attempts ?? 0,
    lastError: failing?.error ?? null,
    nextTryAt: failing?.nextTryAt ?? null,
    delivered: state.delivered,
    perSecond: state.perSecond * Math.exp(-Math.max(0, now - at) / rateMs),
    deadLetters: lettersRead?.count ?? 0,
    processor,
  };
  return { record: decodeRecord<EndpointRecord>(entry.value), delivery };
}

function checkpointsIn(reading: Reading | undefined): Checkpoints {
  const pairs = (reading?.entries ?? []).map((entry) => {
    const record = decodeRecord<CheckpointRecord>(entry.value);
    return [lastPart(entry.key), { ...record, modRevision: entry.modRevision }] as const;
  });
  return new Map(pairs);
}

/** How far an endpoint has come, by what is stored. */
export async function cursorOf(
  engine: Engine,
  endpoint: string,
  call: CallOptions,
): Promise<number> {
  const moment = await readAll(
    engine,
    [
      { ...all.checkpoints, uncounted: true },
      { key: endpointKey(endpoint) },
      { key: stateKey(endpoint) },
    ],
    call,
  );
  const [checkpoints, endpointRead, stateRead] = moment.readings;
  const begins = endpointRead?.entries[0]?.createRevision ?? 0;
  const stored = stateRead?.entries[0];
  if (stored === undefined) return begins;
  const kept = { state: decodeRecord<StateRecord>(stored.value), modRevision: stored.modRevision };
  const known = { checkpoints: checkpointsIn(checkpoints) };
  return beginning(stateOf(known, { id: endpoint, begins }, kept).cursor);
}
