import { setImmediate } from 'node:timers/promises';
import type { MsgHdrs } from '@nats-io/transport-node';
import { WaymarkError } from 'waymark/engine';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointSettings,
  type EndpointTools,
  type Target,
} from '../endpoint.js';
import {
  contentTypeOf,
  documentType,
  eventAttributes,
  eventDocument,
  headerValue,
} from '../kit/cloud-events.js';
import { checkInstalled } from '../kit/installed.js';
import { runsOf } from '../kit/runs.js';
import type { Use } from '../kit/shared-connections.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import { natsFailure, notAllowed } from './failures.js';
import { type NatsLink, openLink } from './link.js';
import { type NatsPlace, readNatsUri, subjectBytesMax } from './place.js';

/** Subjects of NATS, and streams of its JetStream. docs/endpoints/nats.md tells what arrives. */
export const natsKind: EndpointKind = {
  name: 'nats',
  schemes: ['nats', 'nats+tls'],
  eventsMax: 1_000,
  bytesMax: 16_777_216,
  parse(uri, { secrets }) {
    const { parts, normal } = readNatsUri(uri);
    if (secrets.length > 0) {
      throw new WaymarkError('invalid', 'deliveries to NATS are not signed: leave the secret out');
    }
    return targetOf(parts, { normal, fences: false });
  },
  open(target, settings, tools) {
    checkInstalled('nats', ['@nats-io/transport-node', '@nats-io/jetstream']);
    return new NatsEndpoint(target, settings, tools);
  },
};

interface NatsMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: MsgHdrs;
  /** What a stream knows it by: its place, which is the same for every try. A probe has none. */
  readonly id: string;
}

class NatsEndpoint implements Endpoint {
  readonly #place: NatsPlace;
  readonly #settings: EndpointSettings;
  readonly #connect: () => Use<NatsLink>;
  readonly #tries = new TrySignal();
  readonly #sends = new TrySignal();
  #use: Use<NatsLink> | null = null;
  #left: Promise<void> = Promise.resolve();

  constructor(target: Target, settings: EndpointSettings, tools: EndpointTools) {
    const place = readNatsUri(target.uri);
    const key = JSON.stringify([place.parts.scheme, target.host, target.port, place.account]);
    this.#place = place;
    this.#settings = settings;
    this.#connect = () => tools.connections.use(key, () => openLink(place, tools.dialer));
  }

  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, async (signal) => {
      try {
        signal.throwIfAborted();
        this.#use ??= this.#connect();
        const link = await unlessAborted(this.#use.connection, signal);
        await this.#sends.under(signal, () =>
          this.#sends.under(link.gone, (live) => this.#send(link, delivery, live)),
        );
      } catch (error) {
        this.#drop();
        throw signal.aborted ? (signal.reason as Error) : natsFailure(error);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was given up'));
    this.#drop();
    await this.#left;
  }

  #drop(): void {
    const use = this.#use;
    this.#use = null;
    if (use !== null) this.#left = Promise.all([this.#left, use.leave()]).then(() => {});
  }

  async #send(link: NatsLink, delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { headers } = await import('@nats-io/transport-node');
    const messages = delivery.events.map((event) => this.#message(delivery, event, headers()));
    if (this.#place.stream === undefined) await publish(link, messages, signal);
    else await this.#store(link, delivery.stream, messages, signal);
  }

  /** One after the other: a stream that did not take a message takes none after it. */
  async #store(
    { jetstream }: NatsLink,
    name: string,
    messages: readonly NatsMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const { subject, payload, headers, id } of messages) {
      signal.throwIfAborted();
      const stored = jetstream.publish(subject, payload, {
        headers,
        msgID: `${name}:${id}`,
        expect: { streamName: this.#place.stream ?? '' },
        timeout: this.#settings.timeoutMs,
      });
      await unlessAborted(stored, signal);
    }
  }

  /** @see github.com/cloudevents/spec, NATS protocol binding 1.0.3: `ce-` before the name of each attribute */
  #message(delivery: Delivery, event: DeliveredEvent, headers: MsgHdrs): NatsMessage {
    const id = event.sequence === '' ? event.id : event.sequence;
    const subject = this.#place.subject.fill(event);
    const bytes = Buffer.byteLength(subject);
    if (bytes > subjectBytesMax) {
      const told = `the subject of ${event.path} takes ${bytes} bytes: at most ${subjectBytesMax}`;
      throw new DeliveryFailure('again', told);
    }
    if (this.#settings.format === 'structured') {
      headers.set('Content-Type', documentType);
      return { subject, payload: Buffer.from(eventDocument(delivery, event)), headers, id };
    }
    const { value } = event;
    for (const [name, text] of eventAttributes(delivery, event)) {
      headers.set(`ce-${name}`, headerValue(text));
    }
    if (value !== undefined) {
      headers.set('ce-datacontenttype', headerValue(contentTypeOf(value)));
    }
    return { subject, payload: value ?? new Uint8Array(), headers, id };
  }
}

/**
 * Resolves when the server has read all of it. Before another subject it has let the last one through, so that a message that it refuses is followed
 * by none.
 */
async function publish(
  { connection, refused }: NatsLink,
  messages: readonly NatsMessage[],
  signal: AbortSignal,
): Promise<void> {
  for (const run of runsOf(messages, (one, next) => one.subject === next.subject)) {
    signal.throwIfAborted();
    let through = true;
    const tell = (subject: string): void => {
      if (subject === run[0]?.subject) through = false;
    };
    refused.add(tell);
    try {
      for (const { subject, payload, headers } of run) {
        connection.publish(subject, payload, { headers });
      }
      await unlessAborted(connection.flush(), signal);
      // A refusal came before the answer, and the client tells of it some promises later.
      await setImmediate();
    } finally {
      refused.delete(tell);
    }
    if (!through) throw notAllowed();
  }
}
