import type { Clock, Tracing } from 'waymark/engine';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
} from '../endpoints/endpoint.js';
import { TrySignal } from '../endpoints/kit/try-signal.js';
import type { Believed } from './endpoint-store.js';
import type { EndpointView } from './registry.js';
import { traceDelivery } from './trace-delivery.js';
import type { Turns } from './turns.js';

/** How long an endpoint that is told nothing keeps its connection. */
const idleMs = 60_000;

/** Who is told of tries. */
export interface Told {
  /** Of one try, for metrics. */
  readonly tried: (
    kind: string,
    outcome: 'accepted' | 'again' | 'gone' | 'refused',
    events: number,
    tookMs: number,
  ) => void;
  /** Null where nobody traces. */
  readonly tracing: Tracing | null;
}

export interface SenderParts extends Told {
  readonly clock: Clock;
  readonly endpoint: EndpointView;
  readonly lease: Believed;
  readonly fence: number;
  /** Names the engine's history. */
  readonly identity: string;
  /** Opens it as it is registered now. */
  readonly open: (endpoint: EndpointView) => Endpoint;
  readonly turns: Turns;
}

/** Makes tries at one endpoint: in its turn, while the hold is believed in, within its time. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #tries = new TrySignal();
  #endpoint: { readonly opened: Endpoint; readonly modRevision: number } | null = null;
  #disarmIdle: (() => void) | undefined;
  /** Null while a try is under way. */
  #idleSince: number | null = null;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** What it tells belongs to this order. */
  get stream(): string {
    return `${this.#parts.endpoint.id.slice(0, 32)}.${this.#parts.identity}`;
  }

  /** The try under way ends now, and there is no other. */
  abort(): void {
    this.#tries.end(superseded());
  }

  async close(): Promise<void> {
    this.#disarmIdle?.();
    this.#disarmIdle = undefined;
    const opened = this.#endpoint?.opened;
    this.#endpoint = null;
    try {
      await opened?.[Symbol.asyncDispose]();
    } catch {
      // What cannot be closed was broken: the next delivery opens another one.
    }
  }

  /** @param failed  tries of these events so far. @returns null when they were accepted */
  async send(
    events: readonly DeliveredEvent[],
    part: Delivery['part'],
    failed: number,
  ): Promise<DeliveryFailure | null> {
    const { clock, endpoint, turns, tried, tracing, fence } = this.#parts;
    const { kind } = endpoint.record;
    let began = clock.now();
    let leave = (): void => {};
    try {
      leave = await turns.enter(failed > 0, this.#tries.signal);
      began = clock.now();
      const first = events[0] as DeliveredEvent;
      const delivery = {
        id: `${endpoint.id.slice(0, 16)}.${first.sequence}.${events.length}`,
        stream: this.stream,
        fence,
        attempt: failed + 1,
        sentAt: clock.wallNow(),
        events,
        ...(part !== undefined && { part }),
      };
      if (tracing === null) await this.deliver(delivery);
      else await traceDelivery(tracing, kind, delivery, (seen) => this.deliver(seen));
      tried(kind, 'accepted', events.length, clock.now() - began);
      return null;
    } catch (error) {
      const failure = failureOf(error);
      const outcome = failure.verdict === 'superseded' ? 'refused' : failure.verdict;
      tried(kind, outcome, events.length, clock.now() - began);
      return failure;
    } finally {
      leave();
    }
  }

  /** @throws {DeliveryFailure} */
  async deliver(delivery: Delivery): Promise<void> {
    const { clock, endpoint, lease } = this.#parts;
    const opened = await this.#opened();
    // W1.4: what was believed before the wait proves nothing.
    if (!lease.isHeld()) throw superseded();
    const { timeoutMs } = endpoint.record;
    const { signal } = this.#tries;
    const timedOut = (): DeliveryFailure =>
      new DeliveryFailure('again', `no answer within ${timeoutMs} ms`);
    this.#idleSince = null;
    const disarm = clock.after(timeoutMs, () => this.#tries.abort(timedOut()), true);
    try {
      await this.#tries.unlessEnded(opened.deliver(delivery, signal, () => lease.isHeld()));
    } finally {
      disarm();
      this.#idleSince = clock.now();
      this.#disarmIdle ??= this.#closeWhenIdle(idleMs);
    }
  }

  /** One timer for many deliveries: it begins anew for as long as there were any. */
  #closeWhenIdle(waitMs: number): () => void {
    const { clock } = this.#parts;
    return clock.after(waitMs, () => {
      const leftMs = (this.#idleSince ?? clock.now()) + idleMs - clock.now();
      if (leftMs > 0) this.#disarmIdle = this.#closeWhenIdle(leftMs);
      else void this.close();
    });
  }

  async #opened(): Promise<Endpoint> {
    const { endpoint, open } = this.#parts;
    if (this.#endpoint?.modRevision === endpoint.modRevision) return this.#endpoint.opened;
    await this.close();
    this.#endpoint = { opened: open(endpoint), modRevision: endpoint.modRevision };
    return this.#endpoint.opened;
  }
}

function superseded(): DeliveryFailure {
  return new DeliveryFailure('superseded', 'the hold has ended');
}

function failureOf(error: unknown): DeliveryFailure {
  if (error instanceof DeliveryFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DeliveryFailure('again', message, { cause: error });
}
