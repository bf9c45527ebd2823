import type { TraceContext } from 'waymark/engine';
import type { Dialer } from './kit/dialer.js';
import type { SharedConnections } from './kit/shared-connections.js';

/**
 * Where deliveries go, as the processor sees it. Each kind of endpoint is a folder beside this file with one driver, and passes
 * `endpointSuite` against the real server. A driver knows nothing of watchers, cursors and retries: it brings one delivery to one
 * place, once, and tells what became of it. The rules are docs/spec/watchers.md, W1 to W6.
 */

/** What happened to a path, or what the processor itself has to say. */
export type DeliveredKind = 'put' | 'delete' | 'expire' | 'resync' | 'test';

export interface DeliveredEvent {
  /** The same for every try, and unique in the stream: `REVISION.INDEX`. */
  readonly id: string;
  readonly kind: DeliveredKind;
  readonly namespace: string;
  /** Absolute; of a resync and a test `/`. */
  readonly path: string;
  readonly revision: number;
  /**
   * The event's place in its stream: text of fixed width that sorts as the order of delivery, `ERA-REVISION-INDEX` with 16, 16 and 13 digits.
   * Not dense: `previous` tells what came before. Empty for a test, which has no place in the stream: it is accepted whatever came before, and moves nothing.
   */
  readonly sequence: string;
  /** The sequence of the event before in the stream; empty for the first. */
  readonly previous: string;
  /** Ids of the watchers whose patterns match, in order. */
  readonly watchers: readonly string[];
  /** What was put, byte for byte; absent for all but `put`, `resync` and `test`. */
  readonly value?: Uint8Array | undefined;
  /** Whether it tells what is there after a resync, not a change. */
  readonly state?: boolean | undefined;
  /** Whether it is told again, as asked, or told late to a watcher that begins in the past. */
  readonly replay?: boolean | undefined;
  /** Where in a trace it was committed, where that is known. */
  readonly trace?: TraceContext | undefined;
}

/** Whole revisions in order, or one part of a revision that is too large. */
export interface Delivery {
  /** The same for every try of the same events. */
  readonly id: string;
  /** Names the order that sequences belong to: this engine's history and this endpoint. A sink keeps its fence under it. */
  readonly stream: string;
  /** Grows with every processor that takes the endpoint over. A sink refuses a lower one than it has seen. */
  readonly fence: number;
  /** 1 for the first try. */
  readonly attempt: number;
  /** When this try was made, Unix time in ms. */
  readonly sentAt: number;
  /** At least one. */
  readonly events: readonly DeliveredEvent[];
  /** Of a revision in parts: from 1. */
  readonly part?: { readonly index: number; readonly of: number } | undefined;
  /** Where in a trace this try stands. */
  readonly trace?: TraceContext | undefined;
}

/** What a registration says of its endpoint, beside the URI. Read once, when the endpoint is opened. */
export interface EndpointSettings {
  /** How an event is written: one JSON document, or the value alone with its attributes beside it. */
  readonly format: 'structured' | 'binary';
  /** Secrets that sign, newest first: `whsec_…` (HMAC) or `whsk_…` (ed25519). Kinds that do not sign refuse them at registration. */
  readonly secrets: readonly string[];
  /** The longest that one try may take. */
  readonly timeoutMs: number;
}

/** A URI that a driver has read and found good. */
export interface Target {
  /**
   * Canonical and without password: scheme and host in lower case, the port written out, parameters sorted. Two URIs that mean one place have
   * the same, and one place is never sent to by two.
   */
  readonly normal: string;
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  /** Whether the sink refuses repeats and lower fences by itself: effect once. */
  readonly fences: boolean;
}

/** What drivers are given. */
export interface EndpointTools {
  /** The only way to another machine: it refuses addresses that are not allowed, on every try. */
  readonly dialer: Dialer;
  /** Connections that several endpoints of one server use. */
  readonly connections: SharedConnections;
  /** Unix time in ms. */
  wallNow(): number;
}

/** One kind of endpoint. Its name is what sharing out by type goes by. */
export interface EndpointKind {
  readonly name: string;
  /** Without the colon. */
  readonly schemes: readonly string[];
  /** The most that one delivery may hold. */
  readonly eventsMax: number;
  readonly bytesMax: number;
  /**
   * Reads and checks a URI and what goes with it, without touching the network.
   *
   * @throws {WaymarkError} `invalid`, naming the part that is wrong and what is expected
   */
  parse(uri: string, settings: EndpointSettings): Target;
  /** Opens nothing yet: the first delivery connects. @throws {WaymarkError} `unavailable` when the client's package is not installed, naming it */
  open(target: Target, settings: EndpointSettings, tools: EndpointTools): Endpoint;
}

export interface Endpoint extends AsyncDisposable {
  /**
   * Brings one delivery. It resolves when the endpoint has accepted all of it, and never before; the caller has one under way at a time.
   * The signal ends the try at its deadline or when the endpoint is given up; what may have arrived by then is the receiver's to tell apart.
   *
   * @param may  for one that sends more than once: whether it may still, which it asks before (rule W1.4)
   * @throws {DeliveryFailure}
   */
  deliver(delivery: Delivery, signal: AbortSignal, may?: () => boolean): Promise<void>;
}

/**
 * `again`: may go better later. `gone`: the endpoint says that it wants no more. `superseded`: the sink has seen a higher fence: this
 * processor must stop. Messages are for people and hold no secrets and nothing that the endpoint answered beyond a status.
 */
export class DeliveryFailure extends Error {
  override readonly name = 'DeliveryFailure';
  readonly verdict: 'again' | 'gone' | 'superseded';
  /** What the endpoint asked for. */
  readonly retryAfterMs: number | undefined;

  constructor(
    verdict: DeliveryFailure['verdict'],
    message: string,
    facts: { readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: facts.cause });
    this.verdict = verdict;
    this.retryAfterMs = facts.retryAfterMs;
  }
}
