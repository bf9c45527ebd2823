import {
  bytesToText,
  type ByteString,
  type RetryEnd,
  type RetrySchedule,
  textToBytes,
  type SharingMode,
} from 'waymark/engine';

/** What stands under the keys of the registry (keys.ts), as JSON. */

export interface WatcherRecord {
  readonly namespace: string;
  readonly pattern: string;
  readonly endpoint: string;
  /** Unix time in ms. */
  readonly registeredAt: number;
  readonly expiresAt: number | null;
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Its modRevision tells from when, or where it stands still up to when: what is older is backlog. */
export interface LiveRecord {
  readonly stopped: 'paused' | 'disabled' | null;
  /** Of one that stands still: since when it was live. */
  readonly since: number | null;
}

export interface EndpointRecord {
  /** Without password: what the id is made of. */
  readonly normal: string;
  readonly kind: string;
  /** URI and secrets, encrypted: see sealing.ts. */
  readonly sealed: string;
  readonly signed: boolean;
  readonly retry: RetrySchedule;
  readonly end: RetryEnd;
  readonly batch: number;
  readonly format: 'structured' | 'binary';
  readonly timeoutMs: number;
}

/** All up to and with this event is told: see sequence.ts for the index. */
export interface Position {
  readonly revision: number;
  readonly index: number;
}

export interface StateRecord {
  readonly processor: string | null;
  /** Told up to here in the order of revisions. */
  readonly cursor: Position & { readonly resync: ResyncState | null };
  /** The first part of sequences: grows whenever the stream goes back. */
  readonly era: number;
  /** Sequence of the last event accepted; empty before the first. */
  readonly last: string;
  readonly delivered: number;
  /** Unix time in ms of this commit. */
  readonly at: number;
  readonly perSecond: number;
  readonly failing: FailingState | null;
  /** The backlog that is being told, and how far. */
  readonly late: (Position & { readonly key: string; readonly through: number }) | null;
}

/** History was gone below what was not told: what is there at `at` is being told in its place. */
export interface ResyncState {
  readonly from: number;
  readonly at: number;
}

export interface FailingState {
  readonly attempts: number;
  /** Unix time in ms. */
  readonly since: number;
  readonly nextTryAt: number;
  readonly error: string;
}

export interface BacklogRecord {
  /** What came after this is told, up to and with the record's own revision. */
  readonly after: number;
  /** Whether it was told before. */
  readonly replay: boolean;
  /** In place of all that: the endpoint's dead letters are told. Such a one stands under `r/b/ENDPOINT/letters`. */
  readonly letters?: boolean | undefined;
}

export interface HoldRecord {
  readonly processor: string;
}

export interface ProcessorRecord {
  readonly owner: string;
  readonly since: number;
  readonly endpoints: number;
  /** Kinds it delivers to. */
  readonly kinds: readonly string[];
}

export interface CheckpointRecord {
  /** What it holds and that is not in `busy` has been told all up to here. */
  readonly revision: number;
  /** The first 16 digits of endpoints that have something waiting. */
  readonly busy: readonly string[];
  /** The lowest cursor of all that it holds: history above it is still needed. */
  readonly low: number;
}

export interface ModeRecord {
  readonly mode: SharingMode;
}

export function encodeRecord(record: object): ByteString {
  return textToBytes(JSON.stringify(record));
}

/** The registry is written by Waymark alone, so what stands there is what it says. */
export function decodeRecord<T>(bytes: ByteString): T {
  return JSON.parse(bytesToText(bytes)) as T;
}

/** Also says what the event is told again with. */
export interface LetterRecord {
  readonly sequence: string;
  readonly at: number;
  readonly attempts: number;
  readonly error: string;
  readonly namespace: string;
  readonly path: string;
  readonly kind: 'put' | 'delete' | 'expire' | 'resync';
  readonly revision: number;
  readonly index: number;
  readonly watchers: readonly string[];
  /** Base64 of what was put. */
  readonly value?: string | undefined;
}

/** A probe that waits, or what came of it. */
export interface ProbeRecord {
  readonly answered: boolean;
  readonly error: string | null;
  readonly tookMs: number;
}
