import { isWaymarkError } from '../core/errors.js';
import type { WebhookHeaders } from './headers.js';
import { readEvents, type ReceivedEvent } from './read-events.js';
import { isGap, memoryStore, type ReceiverStore, type StreamPosition } from './store.js';
import { verifierOf, type VerifyOptions } from './verify.js';

export interface ReceiverOptions extends VerifyOptions {
  /** `whsec_…` and `whpk_…`, one or several while they are rotated. Empty: whoever reaches the receiver is believed. */
  readonly secrets: readonly string[];
  /**
   * Handles one event; called in order, one at a time for each stream, and not for repeats and probes. What it throws is answered 500, and the
   * event comes again.
   */
  readonly onEvent: (event: ReceivedEvent) => void | Promise<void>;
  /** Told when something is missing, before the event that shows it. What it throws is answered 500. */
  readonly onGap?: ((gap: StreamGap) => void | Promise<void>) | undefined;
  /** Default: in memory. */
  readonly store?: ReceiverStore | undefined;
}

/** Something was sent after `last`, and did not come: `space.watchers.replay(watcher, { after })` has it told again. */
export interface StreamGap {
  readonly stream: string;
  /** What was handled last. */
  readonly last: string;
  /** What should have come before the event. */
  readonly previous: string;
  /** One of the endpoint's watchers: a replay is of them all. */
  readonly watcher: string;
  /** The revision of what was handled last. */
  readonly after: number;
}

/** What to answer. */
export interface Taken {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Requests of one stream that wait for the one under way. */
const waitingMax = 16;

/** Takes webhooks: verifies, reads, refuses who has lost the right to send, drops repeats, tells gaps. */
export class Taker {
  readonly #options: ReceiverOptions;
  readonly #verify: ReturnType<typeof verifierOf> | null;
  readonly #store: ReceiverStore;
  readonly #streams = new Map<string, { waiting: number; last: Promise<unknown> }>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#verify = options.secrets.length === 0 ? null : verifierOf(options.secrets, options);
    this.#store = options.store ?? memoryStore();
  }

  /** Never rejects: what goes wrong is a status. */
  async take(headers: WebhookHeaders, body: Uint8Array | string): Promise<Taken> {
    try {
      this.#verify?.(headers, body);
      const events = readEvents(headers, body);
      const [{ stream }] = events as [ReceivedEvent];
      if (events.some((event) => event.stream !== stream)) return answer(400);
      return await this.#inTurn(stream, () => this.#handle(stream, events));
    } catch (error) {
      if (isWaymarkError(error, 'unauthenticated')) return answer(401);
      return answer(isWaymarkError(error, 'invalid') ? 400 : 500);
    }
  }

  async #handle(stream: string, events: readonly ReceivedEvent[]): Promise<Taken> {
    const before = (await this.#store.position(stream)) ?? { last: null, fence: 0 };
    let position: StreamPosition = before;
    try {
      for (const event of events) {
        const { fence, sequence } = event;
        if (fence < position.fence) {
          return answer(409, { 'waymark-fence': String(position.fence) });
        }
        if (event.kind === 'test') continue;
        // Seen is seen, also where the event then fails.
        if (fence > position.fence) position = { ...position, fence };
        if (position.last !== null && sequence <= position.last) continue;
        await this.#told(event, position.last);
        position = { ...position, last: sequence };
      }
      return answer(204);
    } catch {
      return answer(500);
    } finally {
      if (position !== before) await this.#store.keep(stream, position);
    }
  }

  async #told(event: ReceivedEvent, last: string | null): Promise<void> {
    const { onEvent, onGap } = this.#options;
    const { stream, previous, watchers } = event;
    if (last !== null && isGap(previous, last)) {
      const watcher = watchers[0] ?? '';
      await onGap?.({ stream, last, previous, watcher, after: revisionOf(last) });
    }
    await onEvent(event);
  }

  async #inTurn(stream: string, task: () => Promise<Taken>): Promise<Taken> {
    const line = this.#streams.get(stream) ?? { waiting: 0, last: Promise.resolve() };
    if (line.waiting >= waitingMax) return answer(503, { 'retry-after': '1' });
    this.#streams.set(stream, line);
    line.waiting += 1;
    const turn = line.last.then(task);
    line.last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      line.waiting -= 1;
      if (line.waiting === 0) this.#streams.delete(stream);
    }
  }
}

/** A sequence is `ERA-REVISION-INDEX`. */
function revisionOf(sequence: string): number {
  return Number(sequence.slice(17, 33));
}

function answer(status: number, headers: Taken['headers'] = {}): Taken {
  return { status, headers };
}
