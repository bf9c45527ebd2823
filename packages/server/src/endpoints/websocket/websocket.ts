import { type Clock, systemClock, WaymarkError } from 'waymark/engine';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointTools,
  type Target,
} from '../endpoint.js';
import { batchDocument } from '../kit/cloud-events.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { readUri, type UriParts } from '../kit/uri.js';
import type { Answer } from './answers.js';
import { Link } from './link.js';

/** Of one message: as JSON, the largest value fits. */
const messageBytesMax = 1_572_864;
const rules = { ports: { ws: 80, wss: 443 } } as const;

/**
 * WebSocket: each delivery is one message, accepted when the receiver has said so. What it has it tells at the beginning, so nothing is sent again that it
 * has: docs/endpoints/websocket.md.
 */
export function createWebSocketKind({ clock = systemClock }: { clock?: Clock } = {}): EndpointKind {
  return {
    name: 'websocket',
    schemes: Object.keys(rules.ports),
    eventsMax: 500,
    // As JSON it is more: base64 takes a third, and attributes a few hundred bytes an event.
    bytesMax: 524_288,
    parse: (uri, { format, secrets }) => {
      const parts = readUri(uri, rules);
      if (secrets.length > 0)
        throw refused('a WebSocket takes no secret: its messages are not signed');
      if (format !== 'structured') throw refused('a WebSocket takes the format structured alone');
      return targetOf(parts, { fences: true });
    },
    open: (target, _settings, tools) => new WebSocketEndpoint(target, tools, clock),
  };
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}

/** What a receiver has of a stream. */
interface Session {
  readonly stream: string;
  readonly fence: number;
  last: string | null;
}

class WebSocketEndpoint implements Endpoint {
  readonly #parts: UriParts;
  readonly #tools: EndpointTools;
  readonly #clock: Clock;
  readonly #tries = new TrySignal();
  #link: Link | null = null;
  #session: Session | null = null;

  constructor(target: Target, tools: EndpointTools, clock: Clock) {
    this.#parts = readUri(target.uri, rules);
    this.#tools = tools;
    this.#clock = clock;
  }

  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, async (signal) => {
      const link = await this.#opened(signal);
      const session = await this.#greeted(link, delivery, signal);
      const events = delivery.events.filter(({ sequence }) => isNew(sequence, session));
      if (events.length === 0) return;
      const answer = await link.ask(messageOf({ ...delivery, events }), signal);
      accepted(answer, delivery.id, events);
      session.last = (answer as Answer & { kind: 'ack' }).last;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.#link?.close();
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was closed'));
    await closing;
  }

  async #opened(signal: AbortSignal): Promise<Link> {
    if (this.#link?.usable === true) return this.#link;
    const { scheme, host, port, user, password, passworded, path, parameters } = this.#parts;
    const tls = scheme === 'wss' ? { servername: host } : undefined;
    const socket = await this.#tools.dialer.connect({ host, port, tls }, signal);
    const place = host.includes(':') ? `[${host}]` : host;
    const query = parameters.size === 0 ? '' : `?${parameters.toString()}`;
    const known = user !== '' || passworded;
    const basic = Buffer.from(`${user}:${password}`).toString('base64');
    const authorization = known ? `Basic ${basic}` : undefined;
    const url = `${scheme}://${place}:${port}${path}${query}`;
    this.#session = null;
    this.#link = await Link.open({ url, authorization, socket, clock: this.#clock }, signal);
    return this.#link;
  }

  /** Says who sends, and hears what the receiver has. */
  async #greeted(link: Link, { stream, fence }: Delivery, signal: AbortSignal): Promise<Session> {
    const known = this.#session;
    if (known?.stream === stream && known.fence === fence) return known;
    this.#session = null;
    const answer = await link.ask(JSON.stringify({ hello: { stream, fence } }), signal);
    if (answer.kind !== 'at') throw failureOf(answer);
    if (answer.fence > fence) throw failureOf({ kind: 'superseded' });
    this.#session = { stream, fence, last: answer.last };
    return this.#session;
  }
}

/** Probes have no sequence: they are told whatever was told before. */
function isNew(sequence: string, { last }: Session): boolean {
  return sequence === '' || last === null || sequence > last;
}

/** @throws {DeliveryFailure} when it takes more than a message may */
function messageOf(delivery: Delivery): string {
  const { id, stream, fence, attempt } = delivery;
  const head = JSON.stringify({ delivery: id, stream, fence, attempt });
  const message = `${head.slice(0, -1)},"events":${batchDocument(delivery)}}`;
  const bytes = Buffer.byteLength(message);
  if (bytes <= messageBytesMax) return message;
  const what = `as a message the delivery takes ${bytes} bytes, and may take ${messageBytesMax}`;
  throw new DeliveryFailure('again', what);
}

/** @throws {DeliveryFailure} for every other answer than that all events were taken */
function accepted(answer: Answer, id: string, events: readonly DeliveredEvent[]): void {
  if (answer.kind !== 'ack') throw failureOf(answer);
  const last = events.at(-1)?.sequence ?? '';
  if (answer.id !== id || (answer.last ?? '') < last)
    throw new DeliveryFailure('again', 'the receiver acknowledged another delivery');
}

function failureOf(answer: Answer): DeliveryFailure {
  if (answer.kind === 'superseded')
    return new DeliveryFailure('superseded', 'the receiver has seen a higher fence');
  if (answer.kind === 'gone') return new DeliveryFailure('gone', 'the receiver wants no more');
  if (answer.kind !== 'again')
    return new DeliveryFailure('again', 'the receiver answered another question');
  const { retryAfterMs } = answer;
  return new DeliveryFailure('again', 'the receiver asks to be told later', { retryAfterMs });
}
