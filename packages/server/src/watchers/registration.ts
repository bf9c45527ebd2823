import { createHash } from 'node:crypto';
import {
  type CallOptions,
  type Check,
  type Clock,
  type Engine,
  type Entry,
  type Operation,
  type Random,
  WaymarkError,
} from 'waymark/engine';
import type { EndpointKind, EndpointSettings, Target } from '../endpoints/endpoint.js';
import { schemeOf } from '../endpoints/kit/uri.js';
import { readAll } from './desk-reads.js';
import { type EndpointSecrets, openSecrets, sealSecrets } from './endpoint-secrets.js';
import { eventPut } from './event-put.js';
import {
  all,
  backlogKey,
  endpointKey,
  lastPart,
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
import type { Sealer } from './sealing.js';
import type { NamedFacts, NamedOptions, Wanted } from './wishes.js';

export interface DeskParts {
  readonly engine: Engine;
  readonly kinds: readonly EndpointKind[];
  /** Null where there is no key: then nothing secret is taken. */
  readonly sealer: Sealer | null;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Registered {
  readonly id: string;
  readonly record: WatcherRecord;
  readonly created: boolean;
}

export const watchersMax = 100_000;

const defaults = {
  retry: 'default',
  end: 'deregister',
  batch: 1,
  format: 'structured',
  timeoutMs: 15_000,
} as const;

/** What a registration is about, whatever stands of it. */
export interface Registration {
  readonly id: string;
  readonly endpoint: string;
  readonly kind: EndpointKind;
  readonly target: Target;
  readonly wanted: Wanted;
}

/** @throws {WaymarkError} `invalid` for a URI that no kind of endpoint takes */
export function registrationOf(kinds: readonly EndpointKind[], wanted: Wanted): Registration {
  const { namespace, pattern, uri, options } = wanted;
  const kind = kindOf(kinds, uri);
  const { secrets = [], ...named } = options;
  const target = kind.parse(uri, { ...defaults, ...named, secrets });
  const id = digest(`${namespace}\0${pattern}\0${target.normal}`);
  return { id, endpoint: digest(target.normal), kind, target, wanted };
}

/** The id of the endpoint that a URI names. */
export function endpointOf(kinds: readonly EndpointKind[], uri: string): string {
  return digest(kindOf(kinds, uri).parse(uri, { ...defaults, secrets: [] }).normal);
}

/** One try to write a registration down; undefined when others changed the same meanwhile. */
export async function register(
  parts: DeskParts,
  registration: Registration,
  call: CallOptions,
): Promise<Registered | undefined> {
  const { engine, clock } = parts;
  const { id, endpoint, wanted } = registration;
  const queries = [
    { key: watcherKey(id) },
    { key: endpointKey(endpoint) },
    { ...ofEndpoint('i', endpoint), limit: 2, keysOnly: true, uncounted: true },
  ];
  const { readings, revision } = await readAll(engine, queries, call);
  const [stored, endpointEntry] = readings.map((reading) => reading.entries[0]);
  const others = (readings[2]?.entries ?? []).filter(({ key }) => lastPart(key) !== id).length > 0;
  const now = clock.wallNow();
  const before = stored === undefined ? null : decodeRecord<WatcherRecord>(stored.value);
  const known = before === null || isOver(before, now) ? null : before;
  if (known === null && before === null) await refuseTooMany(engine, call);
  if (wanted.after !== undefined && wanted.after > revision)
    throw futureRevision(wanted.after, revision);
  const shared = sharedRecord(parts, registration, endpointEntry, others);
  const record = watcherRecord(registration, known, now);
  const when = [unchanged(watcherKey(id), stored), unchanged(endpointKey(endpoint), endpointEntry)];
  const apply = [
    { type: 'put', key: watcherKey(id), value: encodeRecord(record) },
    { type: 'put', key: endpointKey(endpoint), value: encodeRecord(shared.record) },
    ...(known === null ? begun(registration) : []),
    ...told(parts, registration, {
      created: known === null,
      changed: shared.changed,
      known,
      record,
    }),
  ] satisfies Operation[];
  const { succeeded } = await engine.commit({ when, apply }, call);
  return succeeded ? { id, record, created: known === null } : undefined;
}

/** Its lifetime has ended, though nobody has removed it yet. */
export function isOver({ expiresAt }: WatcherRecord, now: number): boolean {
  return expiresAt !== null && expiresAt <= now;
}

export function withFacts(record: WatcherRecord, facts: NamedFacts, now: number): WatcherRecord {
  const { lifetimeMs, ...others } = facts;
  const ends =
    lifetimeMs === undefined
      ? {}
      : { expiresAt: lifetimeMs === null ? null : Math.round(now + lifetimeMs) };
  return { ...record, ...others, ...ends };
}

/** The endpoint as it stands, with what is asked of it. @throws {WaymarkError} `invalid` where its kind does not take that */
export function withOptions(
  { kinds, sealer }: DeskParts,
  endpoint: string,
  standing: EndpointRecord,
  { secrets, ...options }: NamedOptions,
  uri?: string,
): { readonly record: EndpointRecord; readonly changed: readonly string[] } {
  const kept = openSecrets(sealer, standing.sealed, endpoint);
  const next: EndpointSecrets = { uri: uri ?? kept.uri, secrets: secrets ?? kept.secrets };
  const changed = Object.entries(options)
    .filter(([name, value]) => !isSame(standing[name as keyof EndpointRecord], value))
    .map(([name]) => name);
  if (!isSame(kept.secrets, next.secrets)) changed.push('secret');
  const resealed = !isSame(kept, next);
  const sealed = resealed ? sealSecrets(sealer, next, endpoint) : standing.sealed;
  const record = { ...standing, ...options, sealed, signed: next.secrets.length > 0 };
  kindOf(kinds, next.uri).parse(next.uri, { ...settingsOf(record), secrets: next.secrets });
  return { record, changed };
}

export function settingsOf({
  format,
  timeoutMs,
}: EndpointRecord): Pick<EndpointSettings, 'format' | 'timeoutMs'> {
  return { format, timeoutMs };
}

/** @throws {WaymarkError} `invalid` */
export function kindOf(kinds: readonly EndpointKind[], uri: string): EndpointKind {
  const scheme = schemeOf(uri);
  const kind = kinds.find(({ schemes }) => schemes.includes(scheme));
  if (kind !== undefined) return kind;
  const known = kinds.flatMap(({ schemes }) => schemes).toSorted();
  const text = `'${scheme.slice(0, 40)}' is no scheme of an endpoint: take ${known.join(', ')}`;
  throw new WaymarkError('invalid', text);
}

export function unchanged(key: string, entry: Entry | undefined): Check {
  return { key, target: 'mod', is: '=', to: entry?.modRevision ?? 0 };
}

export function futureRevision(after: number, revision: number): WaymarkError {
  const text = `revision ${after} has not been reached: the present is ${revision}`;
  return new WaymarkError('future_revision', text, { revision });
}

function sharedRecord(
  parts: DeskParts,
  { endpoint, kind, target, wanted }: Registration,
  entry: Entry | undefined,
  others: boolean,
): { readonly record: EndpointRecord; readonly changed: readonly string[] } {
  const { uri, options } = wanted;
  if (entry === undefined) {
    const { secrets = [], ...named } = options;
    const sealed = sealSecrets(parts.sealer, { uri, secrets }, endpoint);
    const { normal } = target;
    const own = { normal, kind: kind.name, sealed, signed: secrets.length > 0 };
    return { record: { ...defaults, ...named, ...own }, changed: [] };
  }
  const standing = decodeRecord<EndpointRecord>(entry.value);
  const replaces = !others || wanted.replaces;
  if (!replaces) shownAll(parts, endpoint, standing, wanted);
  const next = withOptions(parts, endpoint, standing, options, replaces ? uri : undefined);
  if (!others || next.changed.length === 0) return next;
  throw new WaymarkError(
    'conflict',
    `other watchers of this endpoint stand with another ${next.changed.join(', ')}: leave it out, or change it for all of them`,
  );
}

/** Whoever has no right to the others' watchers sends by their endpoint what they could send themselves. @throws {WaymarkError} `conflict` */
function shownAll(
  { sealer }: DeskParts,
  endpoint: string,
  { sealed }: EndpointRecord,
  { uri, options }: Wanted,
): void {
  const kept = openSecrets(sealer, sealed, endpoint);
  if (isSame(accountIn(kept.uri), accountIn(uri)) && isSame(kept.secrets, options.secrets ?? []))
    return;
  throw new WaymarkError(
    'conflict',
    'other watchers of this endpoint stand with another password or secret: show those, or have it changed by who may do everything',
  );
}

/** All of a URI that its canonical form may leave out. */
function accountIn(uri: string): readonly string[] {
  const { username, password } = new URL(uri);
  return [username, password];
}

function watcherRecord(
  { endpoint, wanted }: Registration,
  known: WatcherRecord | null,
  now: number,
): WatcherRecord {
  const { namespace, pattern, facts } = wanted;
  const fresh = { registeredAt: now, expiresAt: null, owner: '', labels: {} };
  return withFacts(known ?? { namespace, pattern, endpoint, ...fresh }, facts, now);
}

/** What a new watcher has beside its record: it is told from this commit on, or from before. */
function begun({ id, endpoint, wanted }: Registration): Operation[] {
  const live: LiveRecord = { stopped: null, since: null };
  const key = backlogKey(endpoint, id);
  const { after } = wanted;
  const late: BacklogRecord = { after: after ?? 0, replay: false };
  return [
    { type: 'put', key: liveKey(id), value: encodeRecord(live) },
    { type: 'put', key: memberKey(endpoint, id), value: '' },
    after === undefined ? { type: 'delete', key } : { type: 'put', key, value: encodeRecord(late) },
  ];
}

function told(
  parts: DeskParts,
  { id, target, wanted }: Registration,
  change: {
    readonly created: boolean;
    readonly changed: readonly string[];
    readonly known: WatcherRecord | null;
    readonly record: WatcherRecord;
  },
): Operation[] {
  const { created, known, record } = change;
  const event = { watchers: [id], normal: target.normal };
  if (created) {
    const detail = `${JSON.stringify(wanted.pattern)} of ${wanted.namespace}`;
    return [eventPut(parts, { ...event, kind: 'registered', detail })];
  }
  const changed = [...change.changed, ...changedFacts(known as WatcherRecord, record)];
  if (changed.length === 0) return [];
  return [eventPut(parts, { ...event, kind: 'changed', detail: changed.join(', ') })];
}

/** Its end is none of them: a watcher that is registered again and again to live on tells nothing new. */
export function changedFacts(before: WatcherRecord, after: WatcherRecord): string[] {
  return (['owner', 'labels'] as const).filter((name) => !isSame(before[name], after[name]));
}

async function refuseTooMany(engine: Engine, call: CallOptions): Promise<void> {
  const { count } = await engine.read({ ...all.watchers, countOnly: true }, call);
  if (count < watchersMax) return;
  const facts = { limit: 'watchersMax', max: watchersMax, actual: count };
  throw new WaymarkError('exhausted', `there are ${watchersMax} watchers: remove some`, facts);
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
