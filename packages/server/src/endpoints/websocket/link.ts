import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Clock, isWaymarkError } from 'waymark/engine';
import { WebSocket } from 'ws';
import { DeliveryFailure } from '../endpoint.js';
import { type Answer, readAnswer } from './answers.js';

export const subprotocol = 'waymark.delivery.v1';
/** What receivers say is short. */
const answerBytesMax = 65_536;
const pingMs = 20_000;
/** A farewell that is not answered is not waited for any longer. */
const farewellMs = 500;

export interface LinkParts {
  readonly url: string;
  readonly authorization: string | undefined;
  /** A connection that is open, over TLS where the URL says so. */
  readonly socket: Socket;
  readonly clock: Clock;
}

interface Asked {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (failure: DeliveryFailure) => void;
}

/** One WebSocket to a receiver: a message is sent, and its answer awaited before the next. */
export class Link {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  #asked: Asked | null = null;
  #heard = true;
  #disarmPing = (): void => {};

  private constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.on('message', (data: Buffer, binary) => this.#answered(data, binary));
    socket.on('pong', () => (this.#heard = true));
    socket.on('close', (code) => this.#closed(code));
    this.#armPing();
  }

  /** @throws {DeliveryFailure} @throws the signal's reason */
  static async open(parts: LinkParts, signal: AbortSignal): Promise<Link> {
    const { url, authorization, socket: connection, clock } = parts;
    const socket = new WebSocket(url, [subprotocol], {
      createConnection: () => connection,
      perMessageDeflate: false,
      maxPayload: answerBytesMax,
      headers: authorization === undefined ? {} : { authorization },
    });
    const end = (): void => socket.terminate();
    signal.addEventListener('abort', end, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('open', resolve);
        socket.once('error', (error) => reject(refused(error)));
        socket.once('unexpected-response', (_request, response: IncomingMessage) => {
          response.destroy();
          reject(answeredPlainly(response));
        });
      });
    } catch (error) {
      socket.terminate();
      connection.destroy();
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      signal.removeEventListener('abort', end);
    }
    // What goes wrong from here on ends with 'close'.
    socket.on('error', () => {});
    return new Link(socket, clock);
  }

  get usable(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /**
   * A try that ends early ends the connection: its answer could come when another is awaited.
   *
   * @throws {DeliveryFailure} @throws the signal's reason
   */
  async ask(message: string, signal: AbortSignal): Promise<Answer> {
    const end = (): void => this.#socket.terminate();
    signal.addEventListener('abort', end, { once: true });
    try {
      return await new Promise<Answer>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        if (!this.usable) return reject(new DeliveryFailure('again', 'the connection has closed'));
        this.#asked = { resolve, reject };
        this.#socket.send(message);
      });
    } catch (error) {
      this.#socket.terminate();
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // Who waits for an answer would wait in vain.
    if (this.#asked === null) socket.close(1000);
    else socket.terminate();
    const disarm = this.#clock.after(farewellMs, () => socket.terminate(), true);
    await closed;
    disarm();
  }

  #answered(data: Buffer, binary: boolean): void {
    const asked = this.#asked;
    this.#asked = null;
    let failure = new DeliveryFailure('again', 'the receiver spoke without having been asked');
    try {
      const answer = readAnswer(binary ? null : data.toString());
      if (asked !== null) return asked.resolve(answer);
    } catch (error) {
      if (!isWaymarkError(error, 'invalid')) throw error;
      failure = new DeliveryFailure('again', error.message);
    }
    asked?.reject(failure);
    this.#socket.close(1002);
  }

  #closed(code: number): void {
    this.#disarmPing();
    this.#asked?.reject(
      new DeliveryFailure('again', `the receiver closed the connection (${code})`),
    );
    this.#asked = null;
  }

  /** Who has not answered one ping when the next is due is gone. */
  #armPing(): void {
    this.#disarmPing = this.#clock.after(pingMs, () => {
      if (!this.#heard) return this.#socket.terminate();
      this.#heard = false;
      this.#socket.ping();
      this.#armPing();
    });
  }
}

function refused(cause: Error): DeliveryFailure {
  return new DeliveryFailure('again', 'no WebSocket was opened', { cause });
}

/** A receiver that answered the upgrade with a status. */
function answeredPlainly({ statusCode = 0, headers }: IncomingMessage): DeliveryFailure {
  const verdict = statusCode === 410 ? 'gone' : 'again';
  const seconds = headers['retry-after'] ?? '';
  const retryAfterMs = /^\d{1,9}$/.test(seconds) ? Number(seconds) * 1_000 : undefined;
  const message = `the receiver answered the upgrade with HTTP ${statusCode}`;
  return new DeliveryFailure(verdict, message, { retryAfterMs });
}
