import type { Bell, ByteString, Clock, Engine, Operation, Random } from 'waymark/engine';
import type { DeliveredEvent, DeliveryFailure } from '../endpoints/endpoint.js';
import type { Believed, EndpointStore } from './endpoint-store.js';
import type { LaneEvent } from './lane.js';
import { answerProbe } from './probes.js';
import type { FailingState, LetterRecord, Position, StateRecord } from './records.js';
import type { EndpointView, WatcherView } from './registry.js';
import { waitAfter } from './retries.js';
import type { Sender } from './sender.js';
import { delivered, type Portion } from './telling.js';

const rateMs = 60_000;

export interface TellerParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  readonly endpoint: EndpointView;
  readonly store: EndpointStore;
  readonly lease: Believed;
  readonly fence: number;
  readonly sender: Sender;
  /** Rings when anything about the endpoint changes. */
  readonly bell: Bell;
}

/** How far an endpoint has been told. */
export type Progress = Pick<StateRecord, 'cursor' | 'late'>;

/** Where a portion belongs: it says how far the endpoint has been told once it was accepted. */
export interface Told {
  readonly portion: Portion;
  readonly replay: boolean;
  readonly moved: (state: Progress, through: Position) => Progress;
  /** Done in the commit that says that it was accepted. */
  readonly also?: readonly Operation[] | undefined;
}

/**
 * Tells an endpoint one portion after the other: one try at a time, the cursor after the answer, the next portion after the cursor. Whatever fails is tried
 * again until it was accepted or the endpoint's end has been written down.
 */
export class Teller {
  state: StateRecord;
  readonly #parts: TellerParts;
  #ending = false;
  #over = false;
  #triedAt: number | null = null;
  #since: number | null = null;

  constructor(parts: TellerParts, state: StateRecord) {
    this.#parts = parts;
    this.state = state;
    const { failing } = state;
    if (failing === null) return;
    this.#triedAt = parts.clock.now() + Math.max(0, failing.nextTryAt - parts.clock.wallNow());
  }

  /** Nothing more is told: the hold is gone, or the endpoint has ended. */
  get over(): boolean {
    return this.#over || !this.#parts.lease.isHeld();
  }

  /** Whether somebody wants to be told. */
  get live(): boolean {
    for (const { until } of this.#parts.endpoint.watchers.values()) {
      if (until === Infinity) return true;
    }
    return false;
  }

  /** The try under way may end, and no other begins. */
  end(): void {
    this.#ending = true;
    this.#parts.bell.ring();
  }

  /** The try under way ends now. */
  abort(): void {
    this.#over = true;
    this.#parts.sender.abort();
    this.end();
  }

  /** How long what is being told has waited since its turn came, ms; 0 when nothing waits. */
  get waitedMs(): number {
    return this.#since === null ? 0 : this.#parts.clock.now() - this.#since;
  }

  /** @returns false when no more is to be told, or nobody wants to be: it was not accepted then */
  async tell(told: Told): Promise<boolean> {
    this.#since = this.#parts.clock.now();
    try {
      return await this.#tell(told);
    } finally {
      this.#since = null;
    }
  }

  async #tell(told: Told): Promise<boolean> {
    while (await this.#ready()) {
      const { endpoint, sender } = this.#parts;
      const { era, last } = this.state;
      const stream = { era, last, replay: told.replay };
      const events = delivered(told.portion.events, stream, endpoint);
      if (events.length === 0) return await this.#accepted(told, events);
      const failed = this.state.failing?.attempts ?? 0;
      const failure = await sender.send(events, told.portion.part, failed);
      if (failure === null) return await this.#accepted(told, events);
      if (this.over) return false;
      if (await this.#failed(failure, told, events)) return !this.over;
    }
    return false;
  }

  /** Until there is something to do: probes are answered meanwhile. @returns false when it ends */
  async ready(fact: () => boolean): Promise<boolean> {
    const { bell, clock, endpoint } = this.#parts;
    for (;;) {
      if (this.#ending || this.over) return false;
      const [probe] = endpoint.probes;
      if (probe !== undefined) {
        await this.#probe(probe);
        continue;
      }
      if (fact()) return true;
      const woken = (): boolean => this.#ending || this.over || endpoint.probes.size > 0 || fact();
      const due = this.#triedAt;
      await bell.until(
        woken,
        due === null ? undefined : { clock, ms: Math.max(1, due - clock.now()) },
      );
    }
  }

  async #ready(): Promise<boolean> {
    const { clock, endpoint } = this.#parts;
    const { modRevision } = endpoint;
    const ready = await this.ready(() => {
      const due = this.#triedAt === null || clock.now() >= this.#triedAt;
      // A change of the endpoint tries at once what has failed.
      return !this.live || due || endpoint.modRevision !== modRevision;
    });
    return ready && this.live;
  }

  async #accepted(told: Told, events: readonly DeliveredEvent[]): Promise<boolean> {
    const { store, clock } = this.#parts;
    const { state } = this;
    const now = clock.wallNow();
    const elapsed = Math.max(0, now - state.at);
    const kept = Math.exp(-elapsed / rateMs);
    const { cursor, late } = told.moved(state, told.portion.through);
    const next: StateRecord = {
      ...state,
      cursor,
      late,
      last: events.at(-1)?.sequence ?? state.last,
      delivered: state.delivered + events.length,
      perSecond: state.perSecond * kept + (events.length * 1_000) / rateMs,
      at: now,
      failing: null,
    };
    const also = [...(told.also ?? [])];
    if (state.failing !== null) {
      const text = `accepted after ${state.failing.attempts} tries that failed`;
      also.push(store.event('recovered', watchersOf(told.portion.events), text));
    }
    return await this.#keep(next, () => store.save(next, also));
  }

  /** @returns whether the portion is done with: given up, or the endpoint has ended */
  async #failed(
    failure: DeliveryFailure,
    told: Told,
    events: readonly DeliveredEvent[],
  ): Promise<boolean> {
    const { clock, random, endpoint } = this.#parts;
    if (failure.verdict === 'superseded') {
      this.#over = true;
      return true;
    }
    const attempts = (this.state.failing?.attempts ?? 0) + 1;
    const { retry } = endpoint.record;
    const wait =
      failure.verdict === 'gone'
        ? null
        : waitAfter(retry, attempts, () => random.next(), failure.retryAfterMs);
    if (wait === null) {
      const last = events.at(-1)?.sequence ?? this.state.last;
      return await this.#giveUpOn(told, failure, { attempts, last });
    }
    const now = clock.wallNow();
    const failing: FailingState = {
      attempts,
      since: this.state.failing?.since ?? now,
      nextTryAt: now + wait,
      error: failure.message.slice(0, 500),
    };
    this.#triedAt = clock.now() + wait;
    await this.#keepFailing(failing, told);
    return false;
  }

  async #keepFailing(failing: FailingState, told: Told): Promise<void> {
    const { store } = this.#parts;
    const next = { ...this.state, failing };
    const first = this.state.failing === null;
    const ids = watchersOf(told.portion.events);
    const also = first ? [store.event('failing', ids, failing.error)] : [];
    await this.#keep(next, () => store.save(next, also), this.#triedAt);
  }

  /** After the last try. */
  async #giveUpOn(
    told: Told,
    failure: DeliveryFailure,
    { attempts, last }: { readonly attempts: number; readonly last: string },
  ): Promise<boolean> {
    const { store, endpoint, clock } = this.#parts;
    const { end } = endpoint.record;
    const gone = failure.verdict === 'gone';
    const detail = `given up after ${attempts} ${attempts === 1 ? 'try' : 'tries'}: ${failure.message}`;
    if (end === 'keep' && !gone) {
      const letters = lettersOf(told, { at: clock.wallNow(), attempts, error: failure.message });
      const { cursor, late } = told.moved(this.state, told.portion.through);
      // What is skipped is a gap that the receiver can see: the next event names it as the one before.
      const next = { ...this.state, cursor, late, last, failing: null };
      return await this.#keep(next, () => store.skip(letters, next, detail)).then(() => true);
    }
    const watchers: WatcherView[] = [...endpoint.watchers.values()];
    if (end === 'deregister') {
      this.#over = true;
      await store.remove(watchers, 'deregistered', detail);
      return true;
    }
    const next = { ...this.state, failing: null };
    const live = watchers.filter(({ until }) => until === Infinity);
    await this.#keep(next, () => store.disable(live, next, detail));
    // The view learns of it by the watch: until then nothing is tried.
    for (const watcher of live) watcher.until = Math.max(watcher.since, this.state.cursor.revision);
    return false;
  }

  async #keep(
    next: StateRecord,
    write: () => Promise<boolean>,
    triedAt: number | null = null,
  ): Promise<boolean> {
    if (!(await write())) {
      this.#over = true;
      return false;
    }
    this.state = next;
    this.#triedAt = triedAt;
    return true;
  }

  async #probe(key: ByteString): Promise<void> {
    const { engine, endpoint, clock, fence, sender } = this.#parts;
    endpoint.probes.delete(key);
    const probe = { key, endpoint, stream: sender.stream, fence };
    await answerProbe({ engine, clock }, probe, (delivery) => sender.deliver(delivery));
  }
}

function watchersOf(events: readonly LaneEvent[]): string[] {
  return [...new Set(events.flatMap((event) => event.watchers))];
}

function lettersOf(
  told: Told,
  facts: Pick<LetterRecord, 'at' | 'attempts' | 'error'>,
): LetterRecord[] {
  return told.portion.events.map((event) => {
    const { position, kind, namespace, path, watchers, value } = event;
    const digits = `${String(position.revision).padStart(16, '0')}-${String(position.index).padStart(13, '0')}`;
    const content =
      kind === 'put' ? { value: Buffer.from(value, 'latin1').toString('base64') } : {};
    return { ...facts, ...position, ...content, sequence: digits, kind, namespace, path, watchers };
  });
}
