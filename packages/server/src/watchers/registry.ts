import type { ByteString, Change, Engine, Entry, KeyRange, SharingMode } from 'waymark/engine';
import { all, lastPart, modeKey } from './keys.js';
import { PatternIndex } from './pattern-index.js';
import {
  type BacklogRecord,
  type CheckpointRecord,
  decodeRecord,
  type EndpointRecord,
  type HoldRecord,
  type LiveRecord,
  type ModeRecord,
  type ProbeRecord,
  type ProcessorRecord,
  type WatcherRecord,
} from './records.js';

/** Endpoints with those of their watchers who are told. */
export type Concerned = Iterable<readonly [endpoint: string, watchers: readonly string[]]>;

export interface WatcherView {
  readonly id: string;
  /** Whom a change concerns that concerns this one alone. */
  readonly alone: Concerned;
  readonly record: WatcherRecord;
  readonly modRevision: number;
  /** It is told of changes after this revision … */
  since: number;
  /** … up to and with this one; Infinity while it is live. */
  until: number;
}

export interface EndpointView {
  readonly id: string;
  record: EndpointRecord;
  /** Begins after this revision. */
  readonly begins: number;
  /** Of its record: it moves with every registration. */
  modRevision: number;
  readonly watchers: Map<string, WatcherView>;
  /** By key, in the order in which they were asked for. */
  readonly backlog: Map<ByteString, BacklogView>;
  /** Keys of probes that wait. */
  readonly probes: Set<ByteString>;
  hold: { readonly processor: string; readonly fence: number } | null;
}

export interface BacklogView extends BacklogRecord {
  readonly watcher: string;
  readonly through: number;
}

/** What a processor watches of the registry. Cursors and dead letters are read where they are needed. */
export const registryRanges: readonly KeyRange[] = [
  all.endpoints,
  all.watchers,
  all.lives,
  all.holds,
  all.backlog,
  all.probes,
  all.processors,
  all.checkpoints,
  { key: modeKey },
];

const pageSize = 1_000;

/** The registry as of one revision, kept in step by the changes of a watch: everybody who watches sees the same at the same revision. */
export class Registry {
  readonly watchers = new Map<string, WatcherView>();
  readonly endpoints = new Map<string, EndpointView>();
  readonly processors = new Map<string, ProcessorRecord>();
  readonly checkpoints = new Map<string, CheckpointRecord & { readonly modRevision: number }>();
  mode: SharingMode = { by: 'endpoint' };
  /** Moves whenever endpoints may belong to other processors than before. */
  sharing = 0;
  /** Namespaces that are watched, and the patterns in each. */
  readonly patterns = new Map<string, PatternIndex<WatcherView>>();
  /** What stands of an endpoint whose own record has not come, or is gone. */
  readonly #holds = new Map<string, { processor: string; fence: number }>();

  /** @returns the registry and the revision that it shows */
  static async load(
    engine: Engine,
    signal: AbortSignal,
  ): Promise<{ registry: Registry; revision: number }> {
    const registry = new Registry();
    let at: number | undefined;
    for (const range of registryRanges) {
      for (let key = range.key; ;) {
        const query = { ...range, key, at, limit: pageSize, uncounted: true };
        const reading = await engine.read(query, { signal });
        at ??= reading.revision;
        for (const entry of reading.entries) registry.#put(entry);
        const last = reading.entries.at(-1);
        if (!reading.more || last === undefined) break;
        key = `${last.key}\0`;
      }
    }
    return { registry, revision: at ?? 0 };
  }

  /** Takes the changes of one revision. @returns the endpoints they concern */
  apply(changes: readonly Change[]): Set<string> {
    const concerned = new Set<string>();
    for (const { kind, entry } of changes.toSorted(byDependence)) {
      const endpoint = kind === 'put' ? this.#put(entry) : this.#drop(entry.key);
      if (endpoint !== null) concerned.add(endpoint);
    }
    return concerned;
  }

  /** Those who are told of a change, by endpoint. */
  readonly matching = (namespace: string, path: ByteString, revision: number): Concerned | null => {
    const matches = this.patterns.get(namespace)?.matchBytes(path);
    if (matches === undefined || matches.length === 0) return null;
    let found: Map<string, string[]> | null = null;
    for (const watcher of matches) {
      if (revision <= watcher.since || revision > watcher.until) continue;
      if (matches.length === 1) return watcher.alone;
      found ??= new Map();
      const { endpoint } = watcher.record;
      const ids = found.get(endpoint);
      if (ids === undefined) found.set(endpoint, [watcher.id]);
      else ids.push(watcher.id);
    }
    for (const ids of found?.values() ?? []) ids.sort();
    return found;
  };

  #put(entry: Entry): string | null {
    const { key, value } = entry;
    const id = lastPart(key);
    switch (key[2]) {
      case 'w':
        return this.#watcher(id, decodeRecord<WatcherRecord>(value), entry.modRevision);
      case 'l':
        return this.#live(id, decodeRecord<LiveRecord>(value), entry.modRevision);
      case 'e':
        return this.#endpoint(entry);
      case 'h': {
        const hold = { ...decodeRecord<HoldRecord>(value), fence: entry.createRevision };
        this.#holds.set(id, hold);
        const endpoint = this.endpoints.get(id);
        if (endpoint !== undefined) endpoint.hold = hold;
        return id;
      }
      case 'b':
        return this.#late(entry);
      case 't':
        if (decodeRecord<ProbeRecord>(value).answered) return null;
        this.endpoints.get(endpointIn(key))?.probes.add(key);
        return endpointIn(key);
      case 'p': {
        const record = decodeRecord<ProcessorRecord>(value);
        if (this.processors.get(id)?.kinds.length !== record.kinds.length) this.sharing += 1;
        this.processors.set(id, record);
        return null;
      }
      case 'c':
        this.checkpoints.set(id, {
          ...decodeRecord<CheckpointRecord>(value),
          modRevision: entry.modRevision,
        });
        return null;
      default:
        this.mode = decodeRecord<ModeRecord>(value).mode;
        this.sharing += 1;
        return null;
    }
  }

  #drop(key: ByteString): string | null {
    const id = lastPart(key);
    switch (key[2]) {
      case 'w':
        return this.#forget(id);
      case 'l':
        return null;
      case 'e':
        this.endpoints.delete(id);
        return id;
      case 'h': {
        this.#holds.delete(id);
        const endpoint = this.endpoints.get(id);
        if (endpoint !== undefined) endpoint.hold = null;
        return id;
      }
      case 'b':
        this.endpoints.get(endpointIn(key))?.backlog.delete(key);
        return endpointIn(key);
      case 't':
        this.endpoints.get(endpointIn(key))?.probes.delete(key);
        return endpointIn(key);
      case 'p':
        this.processors.delete(id);
        this.sharing += 1;
        return null;
      case 'c':
        this.checkpoints.delete(id);
        return null;
      default:
        this.mode = { by: 'endpoint' };
        this.sharing += 1;
        return null;
    }
  }

  #endpoint(entry: Entry): string {
    const id = lastPart(entry.key);
    const record = decodeRecord<EndpointRecord>(entry.value);
    const { modRevision } = entry;
    const known = this.endpoints.get(id);
    if (known !== undefined) Object.assign(known, { record, modRevision });
    else {
      this.endpoints.set(id, {
        id,
        record,
        modRevision,
        begins: entry.createRevision,
        watchers: new Map(),
        backlog: new Map(),
        probes: new Set(),
        hold: this.#holds.get(id) ?? null,
      });
    }
    return id;
  }

  #watcher(id: string, record: WatcherRecord, modRevision: number): string {
    const known = this.watchers.get(id);
    if (known !== undefined) {
      // The pattern and the endpoint are its id, so they stay.
      Object.assign(known, { record, modRevision });
      return record.endpoint;
    }
    // Until its life is told, which is in the same commit, it is told nothing.
    const never = { since: Number.MAX_SAFE_INTEGER, until: Infinity };
    const alone: Concerned = [[record.endpoint, [id]]];
    const watcher: WatcherView = { id, alone, record, modRevision, ...never };
    this.watchers.set(id, watcher);
    this.endpoints.get(record.endpoint)?.watchers.set(id, watcher);
    const { namespace, pattern } = record;
    let index = this.patterns.get(namespace);
    if (index === undefined) this.patterns.set(namespace, (index = new PatternIndex()));
    index.add(pattern, watcher);
    return record.endpoint;
  }

  #live(id: string, live: LiveRecord, modRevision: number): string | null {
    const watcher = this.watchers.get(id);
    if (watcher === undefined) return null;
    watcher.since = live.stopped === null ? modRevision : (live.since ?? modRevision);
    watcher.until = live.stopped === null ? Infinity : modRevision;
    return watcher.record.endpoint;
  }

  #late(entry: Entry): string {
    const endpoint = endpointIn(entry.key);
    const record = decodeRecord<BacklogRecord>(entry.value);
    const view = { ...record, watcher: lastPart(entry.key), through: entry.modRevision };
    const backlog = this.endpoints.get(endpoint)?.backlog;
    backlog?.delete(entry.key);
    backlog?.set(entry.key, view);
    return endpoint;
  }

  #forget(id: string): string | null {
    const watcher = this.watchers.get(id);
    if (watcher === undefined) return null;
    const { namespace, pattern, endpoint } = watcher.record;
    this.watchers.delete(id);
    this.endpoints.get(endpoint)?.watchers.delete(id);
    const index = this.patterns.get(namespace);
    index?.remove(pattern, watcher);
    if (index?.size === 0) this.patterns.delete(namespace);
    return endpoint;
  }
}

/** Endpoints before their watchers, those before whether they are live, and all before what belongs to them. */
const dependence = 'ewl';

function byDependence(a: Change, b: Change): number {
  const rank = ({ entry }: Change): number => {
    const at = dependence.indexOf(entry.key[2] ?? '');
    return at < 0 ? dependence.length : at;
  };
  return rank(a) - rank(b);
}

/** `r/b/ENDPOINT/…` */
function endpointIn(key: ByteString): string {
  return key.slice(4, key.indexOf('/', 4));
}
