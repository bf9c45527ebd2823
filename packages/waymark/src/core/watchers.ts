import type { CallOptions, Revision } from './engine.js';

/** Registered watches: who registers one need not stay. docs/spec/watchers.md has the rules. */

/** ISO 8601, as `PT1H30M` or `P7D` (no months and years), or seconds. */
export type Lifetime = string | number;

/**
 * When a delivery that failed is tried again. `default`: 3 tries over 4 hours. `standard`: 10 tries over 3 days. `forever`: up to an hour apart,
 * without end. A list: the waits between tries, ms. Each wait varies by a fifth.
 */
export type RetrySchedule = 'default' | 'standard' | 'forever' | readonly number[];

/**
 * What becomes of a watcher whose delivery has failed for the last time. `deregister`: it goes. `disable`: it stays, and stands still until
 * it is resumed. `keep`: the delivery goes to the dead letters and the next one is tried, told by an event.
 */
export type RetryEnd = 'deregister' | 'disable' | 'keep';

/** What all watchers of one endpoint share. */
export interface EndpointOptions {
  readonly retry?: RetrySchedule | undefined;
  /** Default `deregister`. */
  readonly end?: RetryEnd | undefined;
  /** Most events in one delivery; 1 to 1 000, default 1. */
  readonly batch?: number | undefined;
  /** Default `structured`: one JSON document an event. */
  readonly format?: 'structured' | 'binary' | undefined;
  /** Signs deliveries: `whsec_…` or `whsk_…`, up to three separated by spaces while they are rotated. Never shown again. */
  readonly secret?: string | undefined;
  /** How long one try may take; 100 to 120 000, default 15 000. */
  readonly timeoutMs?: number | undefined;
}

export interface WatcherWish extends EndpointOptions {
  /** Default `default`. */
  readonly namespace?: string | undefined;
  /** A glob as of Redis, over whole paths: `?`, `*` (slashes too), `[a-z]`, `[^a]`, `\`. */
  readonly pattern: string;
  /** Where to: a URI whose scheme picks the kind. */
  readonly endpoint: string;
  /** The watcher goes after so long, unless it is extended. Default: it stays. */
  readonly lifetime?: Lifetime | undefined;
  /** What it tells first. `beginning`: all that history holds. A revision: what came after it. Default `now`. */
  readonly from?: 'now' | 'beginning' | Revision | undefined;
  /** For people; at most 256 bytes. */
  readonly owner?: string | undefined;
  /** At most 32. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface WatcherAdded {
  readonly watcher: WatcherInfo;
  /** False when the same was registered before. */
  readonly created: boolean;
  /** Watchers of the same endpoint whose every path this one tells too. */
  readonly covers: readonly string[];
  /** Watchers of the same endpoint that tell every path of this one. */
  readonly coveredBy: readonly string[];
}

/** `paused`: by a call. `disabled`: its endpoint failed for the last time. */
export type WatcherState = 'active' | 'paused' | 'disabled';

export interface WatcherInfo {
  /** 64 hexadecimal digits: the same for the same namespace, pattern and endpoint. */
  readonly id: string;
  readonly namespace: string;
  readonly pattern: string;
  /** Without secrets. */
  readonly endpoint: string;
  readonly kind: string;
  readonly state: WatcherState;
  /** Unix time in ms. */
  readonly registeredAt: number;
  readonly expiresAt: number | null;
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly retry: RetrySchedule;
  readonly end: RetryEnd;
  readonly batch: number;
  readonly format: 'structured' | 'binary';
  readonly signed: boolean;
  readonly timeoutMs: number;
  readonly delivery: DeliveryStatus;
}

/** How the deliveries to a watcher's endpoint go. What was told in all is null for one who may not see all watchers of the endpoint. */
export interface DeliveryStatus {
  /** All up to here has been accepted, or concerns none of the endpoint's watchers. */
  readonly cursor: Revision;
  readonly lagRevisions: number;
  /** How long the oldest that was not accepted has waited; 0 when nothing has. */
  readonly lagSeconds: number;
  /** Tries of the delivery under way; 0 when the last was accepted. */
  readonly attempts: number;
  readonly lastError: string | null;
  /** Unix time in ms. */
  readonly nextTryAt: number | null;
  /** Events accepted since the endpoint was registered. */
  readonly delivered: number | null;
  /** Events accepted a second, over the last minute. */
  readonly perSecond: number | null;
  readonly deadLetters: number | null;
  /** Who delivers; null when nobody does. */
  readonly processor: string | null;
}

export interface WatcherChange extends EndpointOptions {
  /** From now on; null: it stays. */
  readonly lifetime?: Lifetime | null | undefined;
  readonly owner?: string | undefined;
  /** Replaces all. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface WatcherListCall extends CallOptions {
  readonly namespace?: string | undefined;
  /** Those that have this label, and value where one is told: `team` or `team=billing`. */
  readonly label?: string | undefined;
  /** Those of this endpoint, whose password does not matter, or of the endpoint of the watcher with this id: what is shown of a URI has no secrets. */
  readonly endpoint?: string | undefined;
  /** Default and most: 1 000 a page. */
  readonly limit?: number | undefined;
  /** Go on after this id. */
  readonly after?: string | undefined;
}

export interface WatcherPage {
  readonly watchers: readonly WatcherInfo[];
  readonly more: boolean;
}

/** A delivery that was given up. */
export interface DeadLetter {
  readonly id: string;
  /** Unix time in ms. */
  readonly at: number;
  readonly attempts: number;
  readonly error: string;
  readonly namespace: string;
  readonly path: string;
  readonly kind: string;
  readonly revision: Revision;
  readonly watchers: readonly string[];
  /** What was put, in base64. */
  readonly value?: string | undefined;
}

export interface DeadLetterCall extends CallOptions {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}

export interface DeadLetterPage {
  readonly letters: readonly DeadLetter[];
  readonly more: boolean;
}

export type WatcherEventKind =
  | 'registered'
  | 'changed'
  | 'removed'
  | 'expired'
  | 'paused'
  | 'resumed'
  | 'failing'
  | 'recovered'
  | 'deregistered'
  | 'disabled'
  | 'skipped'
  | 'resync'
  | 'replay'
  | 'lag'
  | 'mode';

/** What became of a watcher or its endpoint. */
export interface WatcherEvent {
  /** Sorts as they happened. */
  readonly id: string;
  /** Unix time in ms. */
  readonly at: number;
  readonly kind: WatcherEventKind;
  readonly watchers: readonly string[];
  /** Without secrets. */
  readonly endpoint: string;
  /** One sentence for people. */
  readonly detail: string;
}

export interface WatcherEventsCall extends CallOptions {
  /** Go on after this id; `0`: all that is kept. Default: what happens from now on. */
  readonly after?: string | undefined;
}

/**
 * How endpoints are shared out to processors. `endpoint`: each by itself. `pattern`: those of one pattern together, `perPattern` at most to a
 * processor. `fixed`: in `shares` shares, so that at most so many processors work. `kind`: those of one kind together.
 */
export type SharingMode =
  | { readonly by: 'endpoint' }
  | { readonly by: 'pattern'; readonly perPattern?: number | undefined }
  | { readonly by: 'fixed'; readonly shares: number }
  | { readonly by: 'kind' };

export interface ProcessorInfo {
  readonly id: string;
  /** Where it runs, for people. */
  readonly owner: string;
  /** Unix time in ms. */
  readonly since: number;
  /** Endpoints it delivers to. */
  readonly endpoints: number;
}

export interface TestResult {
  readonly accepted: boolean;
  readonly tookMs: number;
  readonly error: string | null;
}

/** The registry of watches whose changes are delivered to endpoints by the servers over this engine. */
export interface Watchers {
  /**
   * Registers a watch. The same one again is no error, and changes nothing but what it names.
   *
   * @throws {WaymarkError} `invalid` for what cannot be a pattern or an endpoint, `conflict` where the endpoint stands with other options
   * (`change` it), `exhausted` beyond 100 000, `unavailable` in a process that delivers nothing
   */
  add(wish: WatcherWish, call?: CallOptions): Promise<WatcherAdded>;
  get(id: string, call?: CallOptions): Promise<WatcherInfo | null>;
  list(call?: WatcherListCall): Promise<WatcherPage>;
  /** Endpoint options change for all watchers of the endpoint. @throws {WaymarkError} `not_found` */
  change(id: string, change: WatcherChange, call?: CallOptions): Promise<WatcherInfo>;
  /** @returns false when there was none */
  remove(id: string, call?: CallOptions): Promise<boolean>;
  /** @returns how many were removed */
  removeLabelled(label: string, call?: CallOptions): Promise<number>;
  pause(id: string, call?: CallOptions): Promise<WatcherInfo>;
  /** What came meanwhile is told first, as far as history holds it. */
  resume(id: string, call?: CallOptions): Promise<WatcherInfo>;
  /** Tells what came after a revision once more, before anything new. @throws {WaymarkError} `not_found`, `future_revision` */
  replay(
    id: string,
    call: CallOptions & { readonly after: 'beginning' | Revision },
  ): Promise<WatcherInfo>;
  /** Delivers a probe in its turn. @throws {WaymarkError} `not_found`, `timeout` */
  test(id: string, call?: CallOptions): Promise<TestResult>;
  deadLetters(id: string, call?: DeadLetterCall): Promise<DeadLetterPage>;
  /** Tells all of an endpoint's dead letters again, oldest first. @returns how many */
  replayDeadLetters(id: string, call?: CallOptions): Promise<number>;
  /** @returns how many were dropped */
  dropDeadLetters(id: string, call?: CallOptions): Promise<number>;
  /** What becomes of watchers, as it happens; the last 10 000 are kept. */
  events(call?: WatcherEventsCall): AsyncIterableIterator<WatcherEvent>;
  processors(call?: CallOptions): Promise<readonly ProcessorInfo[]>;
  mode(call?: CallOptions): Promise<SharingMode>;
  setMode(mode: SharingMode, call?: CallOptions): Promise<void>;
  /** The keys of the server that is asked, by their ids alone. @throws {WaymarkError} `invalid` when its file of keys is none by now */
  secretsKeys(call?: CallOptions): Promise<SecretsKeys>;
  /**
   * Has every secret of endpoints encrypted by the newest key of the server that is asked; deliveries go on meanwhile.
   *
   * @returns how many endpoints were encrypted anew
   * @throws {WaymarkError} `invalid` when a key is missing, naming its id; `unavailable` without any
   */
  reseal(call?: CallOptions): Promise<number>;
}

/** What encrypts the secrets of endpoints. */
export interface SecretsKeys {
  /** The one that encrypts from now on; null where there is none. */
  readonly newest: string | null;
  readonly keys: readonly {
    readonly id: string;
    /** How many endpoints it encrypted. With none its line may go. */
    readonly endpoints: number;
    /** False when the server that is asked does not have it, and so cannot deliver there. */
    readonly here: boolean;
  }[];
  /** Endpoints without secrets, kept in the clear. */
  readonly clear: number;
}

/** The registry as a host answers for it: what delivers keeps it, in the same process. */
export interface WatcherDesk extends Omit<Watchers, 'events'> {
  /**
   * Events after an id, oldest first; with none it waits for the first one, at most `waitMs`. Without `after`: the id to go on from, and no events.
   */
  eventsAfter(
    call: WatcherEventsCall & { readonly limit: number; readonly waitMs: number },
  ): Promise<{ readonly events: readonly WatcherEvent[]; readonly after: string }>;
}
