import type { Writable } from 'node:stream';
import type { ChannelModel, ConfirmChannel, Options } from 'amqplib';
import { DeliveryFailure } from '../endpoint.js';
import { brokerFailure } from './failures.js';

export interface BrokerMessage {
  readonly exchange: string;
  readonly key: string;
  readonly content: Buffer;
  readonly options: Options.Publish;
}

/** A channel on which the broker answers for every message. It serves until the first failure. */
export class BrokerChannel {
  readonly #channel: ConfirmChannel;
  readonly #leave: () => Promise<void>;
  /** The connection's, where the client shows it: which it need not. */
  readonly #socket: Partial<Pick<Writable, 'cork' | 'uncork'>> | undefined;
  /** Whether no queue took a message. The broker gives it back, and then confirms that it has done so. */
  #returned = false;
  #ended: DeliveryFailure | undefined;

  private constructor(channel: ConfirmChannel, leave: () => Promise<void>) {
    this.#channel = channel;
    this.#leave = leave;
    this.#socket = (channel.connection as { stream?: Writable }).stream;
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
      this.#together(() => {
        for (const { exchange, key, content, options } of messages) {
          this.#channel.publish(exchange, key, content, options, answered);
        }
      });
    });
    if (this.#ended !== undefined) throw this.#ended;
    if (refused) {
      throw new DeliveryFailure('again', 'the broker refused the message: its queue is full');
    }
    if (this.#returned) throw brokerFailure({ code: 312 });
  }

  /**
   * Has all that is published in one write to the socket. The client hands its frames on one by one a turn later, and a call of the system for each is a third of what a
   * message costs. Where it hands them on later than that, they are merely written one by one.
   */
  #together(publish: () => void): void {
    const socket = this.#socket;
    if (socket?.cork === undefined) return publish();
    socket.cork();
    try {
      publish();
    } finally {
      process.nextTick(() => setImmediate(() => socket.uncork?.()));
    }
  }

  /** Gives back its part of the connection. */
  async close(): Promise<void> {
    if (!this.ended) this.#channel.close().catch(() => undefined);
    await this.#leave();
  }
}
