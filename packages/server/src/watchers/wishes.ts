import {
  checkNamespaceName,
  type EndpointOptions,
  type Lifetime,
  type RetryEnd,
  type RetrySchedule,
  validateWholeNumber,
  WaymarkError,
  type WatcherChange,
  type WatcherWish,
} from 'waymark/engine';
import { checkPattern } from './glob.js';
import { lifetimeMs } from './lifetime.js';

/** Reads what callers ask for, whoever they are: nothing of it has been looked at before. */

const ownerBytesMax = 256;
const labelsMax = 32;
const labelNameBytesMax = 64;
const labelValueBytesMax = 256;
const waitsMax = 100;
const waitMsMax = 604_800_000;
const secretsMax = 3;
const secretBytesMax = 256;

/** What is asked of an endpoint; what is absent stays as it is. */
export interface NamedOptions {
  readonly retry?: RetrySchedule;
  readonly end?: RetryEnd;
  readonly batch?: number;
  readonly format?: 'structured' | 'binary';
  readonly timeoutMs?: number;
  readonly secrets?: readonly string[];
}

/** What is asked of a watcher; what is absent stays as it is. */
export interface NamedFacts {
  /** Null: it stays. */
  readonly lifetimeMs?: number | null;
  readonly owner?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A wish as the server asks it for who has no right to what others registered. */
export interface RegistrationAsk extends WatcherWish {
  /** `as it stands`: an endpoint that other watchers have is shared by who shows its password and secrets, and stays what it is. */
  readonly sharing?: 'as it stands' | undefined;
}

export interface Wanted {
  readonly namespace: string;
  readonly pattern: string;
  readonly uri: string;
  /** Undefined for now. */
  readonly after: number | undefined;
  /** Whether the password and secrets of an endpoint that others have are replaced by those that are shown. */
  readonly replaces: boolean;
  readonly facts: NamedFacts;
  readonly options: NamedOptions;
}

const optionNames = ['retry', 'end', 'batch', 'format', 'secret', 'timeoutMs'] as const;
const factNames = ['lifetime', 'owner', 'labels'] as const;
const changeNames: readonly string[] = [...optionNames, ...factNames];
const wishNames: readonly string[] = [
  ...changeNames,
  'namespace',
  'pattern',
  'endpoint',
  'from',
  'sharing',
];

/** @throws {WaymarkError} `invalid`, `too_large` */
export function readWish(wish: RegistrationAsk): Wanted {
  checkNames(wish, wishNames, 'a watcher');
  const { namespace = 'default', pattern, endpoint, from = 'now' } = wish;
  checkNamespaceName(namespace);
  checkPattern(pattern);
  if (typeof endpoint !== 'string') throw invalid('an endpoint is a URI, as text');
  if (wish.lifetime === null) throw invalid('a lifetime is a duration; leave it out to stay');
  const after = from === 'now' ? undefined : readAfter('from', from);
  const { facts, options } = readChange(wish);
  const replaces = wish.sharing === undefined;
  return { namespace, pattern, uri: endpoint, after, replaces, facts, options };
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function readChangeAlone(change: WatcherChange): ReturnType<typeof readChange> {
  checkNames(change, changeNames, 'a change');
  return readChange(change);
}

/** `beginning` is 0. @throws {WaymarkError} `invalid` */
export function readAfter(name: string, after: unknown): number {
  if (after === 'beginning') return 0;
  if (typeof after !== 'number') throw invalid(`${name} takes 'beginning' or a revision`);
  validateWholeNumber(name, after);
  return after;
}

function readChange(change: WatcherChange): { facts: NamedFacts; options: NamedOptions } {
  const { lifetime, owner, labels } = change;
  const facts = {
    ...(lifetime !== undefined && { lifetimeMs: readLifetime(lifetime) }),
    ...(owner !== undefined && { owner: readText('an owner', owner, ownerBytesMax) }),
    ...(labels !== undefined && { labels: readLabels(labels) }),
  };
  return { facts, options: readOptions(change) };
}

function readLifetime(lifetime: Lifetime | null): number | null {
  return lifetime === null ? null : lifetimeMs(lifetime);
}

function readOptions(given: EndpointOptions): NamedOptions {
  const { retry, end, batch, format, secret, timeoutMs } = given;
  return {
    ...(retry !== undefined && { retry: readRetry(retry) }),
    ...(end !== undefined && { end: oneOf('end', end, ['deregister', 'disable', 'keep']) }),
    ...(batch !== undefined && { batch: whole('batch', batch, 1, 1_000) }),
    ...(format !== undefined && { format: oneOf('format', format, ['structured', 'binary']) }),
    ...(timeoutMs !== undefined && { timeoutMs: whole('timeoutMs', timeoutMs, 100, 120_000) }),
    ...(secret !== undefined && { secrets: readSecrets(secret) }),
  };
}

function readRetry(retry: unknown): RetrySchedule {
  if (!Array.isArray(retry)) return oneOf('retry', retry, ['default', 'standard', 'forever']);
  if (retry.length > waitsMax) throw invalid(`retry takes at most ${waitsMax} waits`);
  return retry.map((wait) => whole('a wait of retry, in ms,', wait, 1, waitMsMax));
}

/** Never says what it was given. */
function readSecrets(secret: unknown): readonly string[] {
  const secrets = typeof secret === 'string' ? secret.split(/ +/).filter((one) => one !== '') : [];
  const wellFormed = secrets.every(
    (one) => /^(?:whsec|whsk)_[A-Za-z0-9+/=_-]+$/.test(one) && one.length <= secretBytesMax,
  );
  if (secrets.length > 0 && secrets.length <= secretsMax && wellFormed) return secrets;
  throw invalid('a secret is whsec_… or whsk_… in base64; up to three, with spaces between');
}

function readLabels(labels: unknown): Readonly<Record<string, string>> {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels))
    throw invalid('labels are names with a text each');
  const pairs = Object.entries(labels as Record<string, unknown>);
  if (pairs.length > labelsMax) throw invalid(`a watcher has at most ${labelsMax} labels`);
  for (const [name, value] of pairs) {
    readText('the name of a label', name, labelNameBytesMax);
    if (name === '' || name.includes('=')) throw invalid("a label's name is text without '='");
    readText(`the label '${name}'`, value, labelValueBytesMax);
  }
  return Object.fromEntries(pairs) as Record<string, string>;
}

function readText(what: string, text: unknown, bytesMax: number): string {
  if (typeof text !== 'string' || /[\p{Cc}\p{Surrogate}]/u.test(text))
    throw invalid(`${what} is text without control characters`);
  const actual = Buffer.byteLength(text);
  if (actual <= bytesMax) return text;
  throw invalid(`${what} takes at most ${bytesMax} bytes, not ${actual}`);
}

function whole(name: string, value: unknown, min: number, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number;
  throw invalid(`${name} takes a whole number from ${min} to ${max}, not ${shown(value)}`);
}

function oneOf<const T extends string>(name: string, value: unknown, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  throw invalid(`${name} takes ${known.join(', ')}, not ${shown(value)}`);
}

function checkNames(given: unknown, known: readonly string[], what: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw invalid(`${what} is described by an object`);
  const name = Object.keys(given).find((one) => !known.includes(one));
  if (name === undefined) return;
  throw invalid(`${what} has no '${name.slice(0, 40)}': it takes ${known.join(', ')}`);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value.slice(0, 40)}'` : String(value).slice(0, 40);
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
