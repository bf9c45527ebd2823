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
} from '../kit/cloud-events.js';
import { checkInstalled } from '../kit/installed.js';
import { runsOf } from '../kit/runs.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { openChannel } from './broker.js';
import type { BrokerChannel, BrokerMessage } from './broker-channel.js';
import { brokerFailure } from './failures.js';
import { type AmqpPlace, nameBytesMax, readAmqpUri } from './place.js';

/** Queues and exchanges of an AMQP 0-9-1 broker, as RabbitMQ. docs/endpoints/amqp.md tells what arrives. */
export const amqpKind: EndpointKind = {
  name: 'amqp',
  schemes: ['amqp', 'amqps'],
  eventsMax: 1_000,
  bytesMax: 16_777_216,
  parse(uri, settings) {
    const { parts, normal } = readAmqpUri(uri);
    if (settings.secrets.length > 0) {
      throw new WaymarkError('invalid', 'deliveries to AMQP are not signed: leave the secret out');
    }
    return targetOf(parts, { normal, fences: false });
  },
  open(target, settings, tools) {
    checkInstalled('amqp', ['amqplib']);
    return new AmqpEndpoint(target, settings, tools);
  },
};

/** It is kept, and comes back when no queue takes it. */
const each = { mandatory: true, persistent: true } as const;

class AmqpEndpoint implements Endpoint {
  readonly #place: AmqpPlace;
  readonly #format: EndpointSettings['format'];
  readonly #tools: EndpointTools;
  readonly #tries = new TrySignal();
  #channel: BrokerChannel | null = null;
  #given: Promise<void> = Promise.resolve();

  constructor(target: Target, { format }: EndpointSettings, tools: EndpointTools) {
    this.#place = readAmqpUri(target.uri);
    this.#format = format;
    this.#tools = tools;
  }

  /**
   * Messages of one routing key go out at once, and all their confirms are waited for. Before another key all of them have come: a message that no
   * queue takes is followed by none, so what arrives first arrives in order.
   */
  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, async (signal) => {
      const messages = delivery.events.map((event) => this.#message(delivery, event));
      try {
        if (this.#channel?.ended === true) this.#drop();
        this.#channel ??= await openChannel(this.#place, this.#tools, signal);
        const channel = this.#channel;
        for (const run of runsOf(messages, sameRoute)) {
          signal.throwIfAborted();
          await this.#tries.unlessEnded(channel.publish(run));
        }
      } catch (error) {
        this.#drop();
        throw signal.aborted ? (signal.reason as Error) : brokerFailure(error);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was given up'));
    this.#drop();
    await this.#given;
  }

  #drop(): void {
    const channel = this.#channel;
    this.#channel = null;
    if (channel !== null) this.#given = Promise.all([this.#given, channel.close()]).then(() => {});
  }

  #message(delivery: Delivery, event: DeliveredEvent): BrokerMessage {
    const { to } = this.#place;
    const [exchange, key] =
      'queue' in to ? ['', to.queue] : [to.exchange.fill(event), to.key.fill(event)];
    checkName('exchange', exchange, event);
    checkName('routing key', key, event);
    const { content, options } = this.#written(delivery, event);
    return { exchange, key, content, options };
  }

  /** @see github.com/cloudevents/spec, AMQP protocol binding 1.0.2: `cloudEvents:` before the name of each attribute */
  #written(delivery: Delivery, event: DeliveredEvent): Pick<BrokerMessage, 'content' | 'options'> {
    const { id: messageId, value = new Uint8Array() } = event;
    if (this.#format === 'structured') {
      const content = Buffer.from(eventDocument(delivery, event));
      return { content, options: { messageId, contentType: documentType, ...each } };
    }
    const headers = Object.fromEntries(
      eventAttributes(delivery, event).map(([name, text]) => [`cloudEvents:${name}`, text]),
    );
    const type = event.value === undefined ? {} : { contentType: contentTypeOf(value) };
    const content = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { content, options: { messageId, headers, ...type, ...each } };
  }
}

function checkName(part: string, name: string, { path }: DeliveredEvent): void {
  const bytes = Buffer.byteLength(name);
  if (bytes <= nameBytesMax) return;
  const told = `the ${part} of ${path} takes ${bytes} bytes: at most ${nameBytesMax}`;
  throw new DeliveryFailure('again', told);
}

function sameRoute(one: BrokerMessage, other: BrokerMessage): boolean {
  return one.exchange === other.exchange && one.key === other.key;
}
