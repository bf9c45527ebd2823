/**
 * The receiver's side of `ws://` and `wss://` endpoints: takes deliveries from WebSockets, tells what it has, refuses lower fences, and drops what comes
 * again. docs/endpoints/websocket.md has the protocol.
 */
import { isGap, type StreamPosition } from './store.js';

/** To be chosen when a WebSocket is upgraded. */
export const deliveryProtocol = 'waymark.delivery.v1';

/** A CloudEvents document, as `JSON.parse` reads it. */
export interface EventDocument {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence?: string;
  readonly previous?: string;
  readonly [attribute: string]: unknown;
}

export interface SocketDelivery extends StreamPosition {
  readonly stream: string;
  /** Those that were not applied yet, in order. None where only the fence has grown. */
  readonly events: readonly EventDocument[];
  /** Whether the first event does not follow the last one applied: the sender gave up what lay between. */
  readonly gap: boolean;
}

export interface SocketSink {
  /** Of a stream that was never seen: null. */
  position(stream: string): Promise<StreamPosition | null> | StreamPosition | null;
  /**
   * Applies the events and keeps `last` and `fence` for the stream as one step: in one transaction where there is one, so that each event has its
   * effect once. Throw to be told again later; a `retryAfterMs` on the error says when.
   *
   * @returns `superseded` when a higher fence stands (for sinks that several processes write to: compare in the transaction), `gone` to hear no more
   */
  apply(delivery: SocketDelivery): Promise<'superseded' | 'gone' | undefined | void>;
}

/** What is needed of a WebSocket: one of the package ws fits. */
export interface DeliverySocket {
  on(event: 'message', heard: (data: { toString(): string }, binary: boolean) => void): unknown;
  on(event: 'close' | 'error', heard: () => void): unknown;
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface SocketReceiver {
  /** Answers what comes over the socket, until it closes. */
  serve(socket: DeliverySocket): Promise<void>;
}

/** One for all sockets of a process: deliveries of one stream are applied one after the other, over whichever socket they come. */
export function createSocketReceiver(sink: SocketSink): SocketReceiver {
  const streams = new Streams(sink);
  return {
    serve: (socket) =>
      new Promise((resolve) => {
        let busy = false;
        const refuse = (reason: string): void => socket.close(1002, reason);
        socket.on('error', () => {});
        socket.on('close', resolve);
        socket.on('message', (data, binary) => {
          const asked = binary ? null : readMessage(data.toString());
          if (asked === null) return refuse('no message of waymark.delivery.v1');
          if (busy) return refuse('a message before the last was answered');
          busy = true;
          void streams.answer(asked).then((answer) => {
            busy = false;
            socket.send(JSON.stringify(answer));
          });
        });
      }),
  };
}

interface Asked {
  readonly stream: string;
  readonly fence: number;
  /** Null of a hello. */
  readonly delivery: string | null;
  readonly events: readonly EventDocument[];
}

/** Never rejects. */
class Streams {
  readonly #sink: SocketSink;
  readonly #tails = new Map<string, Promise<unknown>>();

  constructor(sink: SocketSink) {
    this.#sink = sink;
  }

  async answer(asked: Asked): Promise<object> {
    const { stream } = asked;
    const before = this.#tails.get(stream) ?? Promise.resolve();
    const answered = before.then(() => this.#answer(asked)).catch(later);
    this.#tails.set(stream, answered);
    const answer = await answered;
    if (this.#tails.get(stream) === answered) this.#tails.delete(stream);
    return answer;
  }

  async #answer({ stream, fence, delivery, events }: Asked): Promise<object> {
    const known = (await this.#sink.position(stream)) ?? { last: null, fence: 0 };
    if (fence < known.fence) return { refuse: 'superseded' };
    const fresh = events.filter((event) => isNew(event, known.last));
    const last = fresh.findLast(isNumbered)?.sequence ?? known.last;
    if (fresh.length > 0 || fence > known.fence) {
      const [first] = fresh;
      const gap = first !== undefined && isGap(first.previous ?? '', known.last);
      const outcome = await this.#sink.apply({ stream, fence, last, events: fresh, gap });
      if (outcome === 'superseded') return { refuse: 'superseded' };
      if (outcome === 'gone') return { gone: true };
    }
    return delivery === null ? { last, fence } : { ack: delivery, sequence: last };
  }
}

/** Probes are not: they are new whenever they come. */
function isNumbered({ sequence = '' }: EventDocument): boolean {
  return sequence !== '';
}

function isNew(event: EventDocument, last: string | null): boolean {
  return !isNumbered(event) || last === null || (event.sequence as string) > last;
}

function later(error: unknown): object {
  const { retryAfterMs = null } = (error ?? {}) as { retryAfterMs?: number };
  return { retryAfterMs };
}

function readMessage(text: string): Asked | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  const { hello, ...said } = (read ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof hello === 'object') return askedBy({ ...hello, delivery: null, events: [] });
  return typeof said['delivery'] === 'string' ? askedBy(said) : null;
}

function askedBy({
  stream,
  fence,
  delivery,
  events,
}: Readonly<Record<string, unknown>>): Asked | null {
  if (typeof stream !== 'string' || !Number.isSafeInteger(fence) || !Array.isArray(events))
    return null;
  return { stream, fence: Number(fence), delivery: delivery as string | null, events };
}
