import {
  type CallOptions,
  type DeadLetterCall,
  type DeadLetterPage,
  type Entry,
  type ProcessorInfo,
  type Revision,
  type SecretsKeys,
  type SharingMode,
  type TestResult,
  type WatcherAdded,
  type WatcherChange,
  type WatcherDesk,
  type WatcherInfo,
  type WatcherListCall,
  type WatcherPage,
  type WatcherWish,
  WaymarkError,
} from 'waymark/engine';
import { type EventsAfter, type EventsCall, eventsAfter } from './desk-events.js';
import { dropLetters, lettersOf, replayLetters } from './desk-letters.js';
import { listWatchers, matchesLabel, pairOf, readLabel } from './desk-list.js';
import { everyEntry, readKeys, untilWon } from './desk-reads.js';
import { removeWatcher, replayWatcher, resumeWatcher, stopWatcher } from './desk-writes.js';
import { eventPut } from './event-put.js';
import { all, endpointKey, lastPart, modeKey, ofEndpoint, watcherKey } from './keys.js';
import { covers } from './pattern-covers.js';
import { probe } from './probing.js';
import {
  decodeRecord,
  encodeRecord,
  type EndpointRecord,
  type ModeRecord,
  type ProcessorRecord,
  type WatcherRecord,
} from './records.js';
import {
  changedFacts,
  type DeskParts,
  isOver,
  type Registered,
  register,
  registrationOf,
  unchanged,
  withFacts,
  withOptions,
} from './registration.js';
import { resealAll, secretsKeys } from './resealing.js';
import { readMode } from './sharing-mode.js';
import { infosOf, type StoredWatcher } from './watcher-infos.js';
import { readAfter, readChangeAlone, readWish } from './wishes.js';

/** Watchers of one endpoint that a new one is compared with. */
const comparedMax = 1_000;

/** The registry as its users see it. It reads and writes the engine alone, so every server over it gives the same answers. */
export function createDesk(parts: DeskParts): WatcherDesk {
  return new Desk(parts);
}

class Desk implements WatcherDesk {
  readonly #parts: DeskParts;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  async add(wish: WatcherWish, { signal }: CallOptions = {}): Promise<WatcherAdded> {
    const registration = registrationOf(this.#parts.kinds, readWish(wish));
    const call = { signal };
    const registered = await untilWon(() => register(this.#parts, registration, call));
    const [watcher] = await infosOf(this.#parts, [registered], call);
    if (watcher === undefined) throw gone(registered.id);
    return { watcher, created: registered.created, ...(await this.#compared(registered, call)) };
  }

  async get(id: string, { signal }: CallOptions = {}): Promise<WatcherInfo | null> {
    checkId(id);
    const found = await this.#find(id, { signal });
    if (found === null) return null;
    const [info = null] = await infosOf(this.#parts, [found], { signal });
    return info;
  }

  list(call: WatcherListCall = {}): Promise<WatcherPage> {
    return listWatchers(this.#parts, call);
  }

  async change(
    id: string,
    change: WatcherChange,
    { signal }: CallOptions = {},
  ): Promise<WatcherInfo> {
    checkId(id);
    const wanted = readChangeAlone(change);
    await untilWon(() => this.#change(id, wanted, { signal }));
    return await this.#shown(id, { signal });
  }

  async remove(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    checkId(id);
    return await untilWon(() => removeWatcher(this.#parts, id, { signal }));
  }

  async removeLabelled(label: string, { signal }: CallOptions = {}): Promise<number> {
    const pair = pairOf(readLabel(label));
    let removed = 0;
    for await (const { key, value } of everyEntry(this.#parts.engine, all.watchers, { signal })) {
      if (!matchesLabel(decodeRecord<WatcherRecord>(value), pair)) continue;
      if (await this.remove(lastPart(key), { signal })) removed += 1;
    }
    return removed;
  }

  async pause(id: string, { signal }: CallOptions = {}): Promise<WatcherInfo> {
    checkId(id);
    await untilWon(() => stopWatcher(this.#parts, id, { signal }));
    return await this.#shown(id, { signal });
  }

  async resume(id: string, { signal }: CallOptions = {}): Promise<WatcherInfo> {
    checkId(id);
    await untilWon(() => resumeWatcher(this.#parts, id, { signal }));
    return await this.#shown(id, { signal });
  }

  async replay(
    id: string,
    { after, signal }: CallOptions & { readonly after: 'beginning' | Revision },
  ): Promise<WatcherInfo> {
    checkId(id);
    const from = readAfter('after', after);
    await untilWon(() => replayWatcher(this.#parts, id, from, { signal }));
    return await this.#shown(id, { signal });
  }

  async test(id: string, { signal }: CallOptions = {}): Promise<TestResult> {
    const { record } = await this.#known(id, { signal });
    const shared = await this.#endpoint(record.endpoint, { signal });
    const { timeoutMs } = decodeRecord<EndpointRecord>(shared.value);
    return await probe(this.#parts, { endpoint: record.endpoint, timeoutMs }, { signal });
  }

  async deadLetters(id: string, call: DeadLetterCall = {}): Promise<DeadLetterPage> {
    const { record } = await this.#known(id, { signal: call.signal });
    return await lettersOf(this.#parts.engine, record.endpoint, call);
  }

  async replayDeadLetters(id: string, { signal }: CallOptions = {}): Promise<number> {
    const { record } = await this.#known(id, { signal });
    return await replayLetters(this.#parts.engine, record.endpoint, { signal });
  }

  async dropDeadLetters(id: string, { signal }: CallOptions = {}): Promise<number> {
    const { record } = await this.#known(id, { signal });
    return await dropLetters(this.#parts.engine, record.endpoint, { signal });
  }

  eventsAfter(call: EventsCall): Promise<EventsAfter> {
    return eventsAfter(this.#parts, call);
  }

  async processors({ signal }: CallOptions = {}): Promise<readonly ProcessorInfo[]> {
    const found: ProcessorInfo[] = [];
    for await (const { key, value } of everyEntry(this.#parts.engine, all.processors, { signal })) {
      const { owner, since, endpoints } = decodeRecord<ProcessorRecord>(value);
      found.push({ id: lastPart(key), owner, since, endpoints });
    }
    return found;
  }

  async mode({ signal }: CallOptions = {}): Promise<SharingMode> {
    const [entry] = (await this.#parts.engine.read({ key: modeKey }, { signal })).entries;
    return entry === undefined ? { by: 'endpoint' } : decodeRecord<ModeRecord>(entry.value).mode;
  }

  async setMode(mode: SharingMode, { signal }: CallOptions = {}): Promise<void> {
    const record: ModeRecord = { mode: readMode(mode) };
    const detail = `endpoints are shared out by ${JSON.stringify(record.mode)}`;
    const event = eventPut(this.#parts, { kind: 'mode', watchers: [], normal: '', detail });
    const put = { type: 'put', key: modeKey, value: encodeRecord(record) } as const;
    await this.#parts.engine.commit({ apply: [put, event] }, { signal });
  }

  secretsKeys({ signal }: CallOptions = {}): Promise<SecretsKeys> {
    return secretsKeys(this.#parts, { signal });
  }

  reseal({ signal }: CallOptions = {}): Promise<number> {
    return resealAll(this.#parts, { signal });
  }

  /** Undefined when others changed the same meanwhile. */
  async #change(
    id: string,
    { facts, options }: ReturnType<typeof readChangeAlone>,
    call: CallOptions,
  ): Promise<true | undefined> {
    const { engine, clock } = this.#parts;
    const { record, entry } = await this.#known(id, call);
    const { endpoint } = record;
    const shared = await this.#endpoint(endpoint, call);
    const next = withFacts(record, facts, clock.wallNow());
    const standing = decodeRecord<EndpointRecord>(shared.value);
    const of = Object.keys(options).length > 0;
    const told = of
      ? withOptions(this.#parts, endpoint, standing, options)
      : { record: standing, changed: [] };
    const changed = [...told.changed, ...changedFacts(record, next)];
    const event = { kind: 'changed', watchers: [id], normal: standing.normal } as const;
    const detail = changed.join(', ');
    const { succeeded } = await engine.commit(
      {
        when: [unchanged(watcherKey(id), entry), unchanged(endpointKey(endpoint), shared)],
        apply: [
          { type: 'put', key: watcherKey(id), value: encodeRecord(next) },
          ...(told.changed.length === 0
            ? []
            : ([
                { type: 'put', key: endpointKey(endpoint), value: encodeRecord(told.record) },
              ] as const)),
          ...(changed.length === 0 ? [] : [eventPut(this.#parts, { ...event, detail })]),
        ],
      },
      call,
    );
    return succeeded ? true : undefined;
  }

  /** Which watchers of the same endpoint a watcher has within it, and which have it. */
  async #compared(
    { id, record }: Registered,
    call: CallOptions,
  ): Promise<Pick<WatcherAdded, 'covers' | 'coveredBy'>> {
    const { engine } = this.#parts;
    const range = { ...ofEndpoint('i', record.endpoint), keysOnly: true, uncounted: true };
    const { entries } = await engine.read({ ...range, limit: comparedMax }, call);
    const ids = entries.map(({ key }) => lastPart(key)).filter((other) => other !== id);
    const compared = { covers: [] as string[], coveredBy: [] as string[] };
    for (let from = 0; from < ids.length; from += 100) {
      const part = ids.slice(from, from + 100);
      const read = await readKeys(engine, part.map(watcherKey), call);
      for (const [at, entry] of read.entries.entries()) {
        const other = entry === undefined ? null : decodeRecord<WatcherRecord>(entry.value);
        const otherId = part[at] as string;
        if (other === null || other.namespace !== record.namespace) continue;
        if (covers(record.pattern, other.pattern)) compared.covers.push(otherId);
        if (covers(other.pattern, record.pattern)) compared.coveredBy.push(otherId);
      }
    }
    return compared;
  }

  async #find(id: string, call: CallOptions): Promise<(StoredWatcher & { entry: Entry }) | null> {
    const { engine, clock } = this.#parts;
    const [entry] = (await engine.read({ key: watcherKey(id) }, call)).entries;
    if (entry === undefined) return null;
    const record = decodeRecord<WatcherRecord>(entry.value);
    return isOver(record, clock.wallNow()) ? null : { id, record, entry };
  }

  async #known(id: string, call: CallOptions): Promise<StoredWatcher & { entry: Entry }> {
    checkId(id);
    const found = await this.#find(id, call);
    if (found === null) throw gone(id);
    return found;
  }

  async #endpoint(id: string, call: CallOptions): Promise<Entry> {
    const [entry] = (await this.#parts.engine.read({ key: endpointKey(id) }, call)).entries;
    if (entry === undefined)
      throw new WaymarkError('not_found', 'its endpoint was removed meanwhile');
    return entry;
  }

  async #shown(id: string, call: CallOptions): Promise<WatcherInfo> {
    const info = await this.get(id, call);
    if (info === null) throw gone(id);
    return info;
  }
}

export function gone(id: string): WaymarkError {
  return new WaymarkError('not_found', `there is no watcher ${id}`);
}

/** @throws {WaymarkError} `invalid` */
function checkId(id: unknown): asserts id is string {
  if (typeof id === 'string' && /^[0-9a-f]{64}$/.test(id)) return;
  throw new WaymarkError('invalid', 'the id of a watcher is 64 hexadecimal digits');
}
