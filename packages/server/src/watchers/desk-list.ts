import {
  type CallOptions,
  checkNamespaceName,
  type Engine,
  type Entry,
  type WatcherListCall,
  type WatcherPage,
  WaymarkError,
} from 'waymark/engine';
import { everyEntry, readKeys } from './desk-reads.js';
import { all, lastPart, ofEndpoint, watcherKey } from './keys.js';
import { decodeRecord, type WatcherRecord } from './records.js';
import { type DeskParts, endpointOf, isOver } from './registration.js';
import { infosOf, type StoredWatcher } from './watcher-infos.js';

const pageMax = 1_000;
const atOnce = 100;

/** A label's name, and its value where one is asked for. */
type Pair = readonly [name: string, value: string | undefined];

/** Watchers in the order of their ids. @throws {WaymarkError} `invalid` */
export async function listWatchers(parts: DeskParts, call: WatcherListCall): Promise<WatcherPage> {
  const { engine, clock } = parts;
  const { signal, namespace, label, endpoint, after } = call;
  if (namespace !== undefined) checkNamespaceName(namespace);
  if (after !== undefined && !isWatcherId(after))
    throw new WaymarkError('invalid', '`after` is the id of a watcher');
  const limit = readLimit(call.limit);
  const pair = label === undefined ? undefined : pairOf(readLabel(label));
  const of = endpoint === undefined ? undefined : await endpointIn(parts, endpoint, { signal });
  if (of === null) return { watchers: [], more: false };
  const source =
    of === undefined
      ? everyWatcher(engine, { signal, after })
      : watchersOf(engine, of, { signal, after });
  const now = clock.wallNow();
  const found: StoredWatcher[] = [];
  let more = false;
  for await (const watcher of source) {
    const { record } = watcher;
    if (isOver(record, now)) continue;
    if (namespace !== undefined && record.namespace !== namespace) continue;
    if (pair !== undefined && !matchesLabel(record, pair)) continue;
    more = found.length === limit;
    if (more) break;
    found.push(watcher);
  }
  return { watchers: await infosOf(parts, found, { signal }), more };
}

export function isWatcherId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** @param asked  a URI, or a watcher. @returns null: there is no such watcher. @throws {WaymarkError} `invalid` */
async function endpointIn(
  { engine, kinds }: DeskParts,
  asked: string,
  call: CallOptions,
): Promise<string | null> {
  if (!isWatcherId(asked)) return endpointOf(kinds, asked);
  const [entry] = (await readKeys(engine, [watcherKey(asked)], call)).entries;
  return entry === undefined ? null : stored(entry).record.endpoint;
}

export function readLimit(limit: unknown): number {
  if (limit === undefined) return pageMax;
  if (Number.isSafeInteger(limit) && (limit as number) >= 1 && (limit as number) <= pageMax)
    return limit as number;
  const text = `limit takes a whole number from 1 to ${pageMax}, not ${String(limit).slice(0, 40)}`;
  throw new WaymarkError('invalid', text);
}

/** @throws {WaymarkError} `invalid` */
export function readLabel(label: unknown): string {
  if (typeof label === 'string' && label !== '' && !label.startsWith('=')) return label;
  throw new WaymarkError('invalid', 'a label is NAME or NAME=VALUE');
}

export function pairOf(label: string): Pair {
  const at = label.indexOf('=');
  return at < 0 ? [label, undefined] : [label.slice(0, at), label.slice(at + 1)];
}

export function matchesLabel({ labels }: WatcherRecord, [name, value]: Pair): boolean {
  return Object.hasOwn(labels, name) && (value === undefined || labels[name] === value);
}

interface Paging extends CallOptions {
  readonly after: string | undefined;
}

async function* everyWatcher(
  engine: Engine,
  { signal, after }: Paging,
): AsyncGenerator<StoredWatcher> {
  const from = after === undefined ? undefined : watcherKey(after);
  for await (const entry of everyEntry(engine, all.watchers, { signal, after: from }))
    yield stored(entry);
}

async function* watchersOf(
  engine: Engine,
  endpoint: string,
  { signal, after }: Paging,
): AsyncGenerator<StoredWatcher> {
  const range = ofEndpoint('i', endpoint);
  const from = after === undefined ? undefined : `${range.key}${after}`;
  let ids: string[] = [];
  const read = async (): Promise<StoredWatcher[]> => {
    const { entries } = await readKeys(engine, ids.map(watcherKey), { signal });
    ids = [];
    return entries.flatMap((entry) => (entry === undefined ? [] : [stored(entry)]));
  };
  for await (const { key } of everyEntry(engine, range, { signal, after: from, keysOnly: true })) {
    ids.push(lastPart(key));
    if (ids.length === atOnce) yield* await read();
  }
  if (ids.length > 0) yield* await read();
}

function stored({ key, value }: Entry): StoredWatcher {
  return { id: lastPart(key), record: decodeRecord<WatcherRecord>(value) };
}
