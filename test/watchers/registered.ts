import { createHash } from 'node:crypto';
import type { Engine, Operation, RetryEnd, RetrySchedule, SharingMode } from 'waymark/engine';
import {
  backlogKey,
  endpointKey,
  liveKey,
  modeKey,
  watcherKey,
} from '../../packages/server/src/watchers/keys.js';
import {
  type BacklogRecord,
  encodeRecord,
  type EndpointRecord,
  type LiveRecord,
  type WatcherRecord,
} from '../../packages/server/src/watchers/records.js';

export interface Wish {
  readonly namespace?: string;
  readonly pattern?: string;
  /** The host of `sink://NAME:1/`. */
  readonly sink?: string;
  readonly after?: number;
  readonly retry?: RetrySchedule;
  readonly end?: RetryEnd;
  readonly batch?: number;
  readonly expiresAt?: number;
  readonly timeoutMs?: number;
}

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Puts the records of a watcher, as the registry's calls do. */
export async function register(
  engine: Engine,
  wish: Wish = {},
): Promise<{ id: string; endpoint: string }> {
  const { namespace = 'default', pattern = '*', sink = 'a', after } = wish;
  const normal = `sink://${sink}:1`;
  const endpoint = digest(normal);
  const id = digest(`${namespace}\0${pattern}\0${normal}`);
  const { expiresAt = null, retry = 'default', end = 'deregister', batch = 1 } = wish;
  const watcher: WatcherRecord = {
    namespace,
    pattern,
    endpoint,
    registeredAt: 0,
    expiresAt,
    owner: '',
    labels: {},
  };
  const shared: EndpointRecord = {
    normal,
    kind: 'sink',
    sealed: normal,
    signed: false,
    retry,
    end,
    batch,
    format: 'structured',
    timeoutMs: wish.timeoutMs ?? 15_000,
  };
  const live: LiveRecord = { stopped: null, since: null };
  const apply: Operation[] = [
    { type: 'put', key: watcherKey(id), value: encodeRecord(watcher) },
    { type: 'put', key: liveKey(id), value: encodeRecord(live) },
    { type: 'put', key: endpointKey(endpoint), value: encodeRecord(shared) },
  ];
  if (after !== undefined) {
    const late: BacklogRecord = { after, replay: false };
    apply.push({ type: 'put', key: backlogKey(endpoint, id), value: encodeRecord(late) });
  }
  await engine.commit({ apply });
  return { id, endpoint };
}

/** Puts what `resume` puts: what came meanwhile is told late. */
export async function setLive(
  engine: Engine,
  { id, endpoint }: { readonly id: string; readonly endpoint: string },
): Promise<void> {
  const live = await engine.read({ key: liveKey(id) });
  const state = await engine.read({ key: `r/s/${endpoint}` });
  const { cursor } = JSON.parse(state.entries[0]?.value ?? '') as { cursor: { revision: number } };
  const after = Math.min(live.entries[0]?.modRevision ?? 0, cursor.revision);
  const record: LiveRecord = { stopped: null, since: null };
  const late: BacklogRecord = { after, replay: false };
  await engine.commit({
    apply: [
      { type: 'put', key: liveKey(id), value: encodeRecord(record) },
      { type: 'put', key: backlogKey(endpoint, id), value: encodeRecord(late) },
    ],
  });
}

export async function setMode(engine: Engine, mode: SharingMode): Promise<void> {
  await engine.commit({ apply: [{ type: 'put', key: modeKey, value: encodeRecord({ mode }) }] });
}
