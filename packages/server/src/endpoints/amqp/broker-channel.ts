import type { ChannelModel, ConfirmChannel, Options } from 'amqplib';
import { DeliveryFailure } from '../endpoint.js';
import { brokerFailure } from './failures.js';

export interface BrokerMessage {
  readonly exchange: string;
  readonly key: string;
  readonly content: Buffer;
  readonly properties: Options.Publish & { readonly messageId: string };
}

/** A channel on which the broker answers for every message. It serves until the first failure. */
export class BrokerChannel {
  readonly #channel: ConfirmChannel;
  readonly #leave: () => Promise<void>;
  /** Whether no queue took a message. The broker gives it back, and then confirms that it has done so. */
  #returned = false;
  #ended: DeliveryFailure | undefined;

  private constructor(channel: ConfirmChannel, leave: () => Promise<void>) {
    this.#channel = channel;
    this.#leave = leave;
    channel.on('return', () => (this.#returned = true));
    channel.on('error', (error) => (this.#ended = brokerFailure(error)));
    channel.on('close', () => {
      this.#ended ??= new DeliveryFailure('again', 'the connection to the broker broke');
    });
  }

  static async open(model: ChannelModel, leave: () => Promise<void>): Promise<BrokerChannel> {
    return new BrokerChannel(await model.createConfirmChannel(), leave);
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Resolves when the broker has all the messages, in a queue at least. @throws {DeliveryFailure} for the first that failed, whatever becomes of others */
  async publish(messages: readonly BrokerMessage[]): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    const refused = await new Promise<boolean>((resolve) => {
      let left = messages.length;
      const answered = (error: unknown): void => {
        left -= 1;
        if (error !== null) resolve(true);
        else if (left === 0) resolve(false);
      };
      for (const { exchange, key, content, properties } of messages) {
        const options = { ...properties, mandatory: true, persistent: true };
        this.#channel.publish(exchange, key, content, options, answered);
      }
    });
    if (this.#ended !== undefined) throw this.#ended;
    if (refused) {
      throw new DeliveryFailure('again', 'the broker refused the message: its queue is full');
    }
    if (this.#returned) throw brokerFailure({ code: 312 });
  }

  /** Gives back its part of the connection. */
  async close(): Promise<void> {
    if (!this.ended) this.#channel.close().catch(() => undefined);
    await this.#leave();
  }
}
