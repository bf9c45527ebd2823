import type { Duplex } from 'node:stream';
import { soon } from 'waymark/engine';
import type { StreamHandler } from '../http2/transport.js';
import type { StreamCall } from './call.js';
import { framed, MessageReader } from './message-reader.js';
import type { Method } from './methods.js';
import { type CallParts, decoded } from './unary.js';
import { grpcCode, GrpcError } from './status.js';

/** Messages that wait to be read; more stay with the client. */
const waitingMax = 64;
/** What is said in one go leaves together, up to so many bytes. */
const gatheredBytesMax = 65_536;

interface Room {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** A call in which both sides say as much as they like. */
export class Conversation implements StreamHandler, StreamCall<unknown, unknown> {
  readonly #method: Extract<Method, { kind: 'stream' }>;
  readonly #parts: CallParts;
  readonly #reader: MessageReader;
  readonly #waiting: Buffer[] = [];
  /** No more comes. */
  #whole = false;
  #wake: (() => void) | null = null;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #room: Room | null = null;

  constructor(method: Extract<Method, { kind: 'stream' }>, parts: CallParts) {
    this.#method = method;
    this.#parts = parts;
    this.#reader = new MessageReader(parts.bytesMax, (bytes) => void this.#waiting.push(bytes));
    void this.#run();
  }

  metadata(key: string): string | undefined {
    return this.#parts.call.metadata(key);
  }

  get socket(): Duplex {
    return this.#parts.call.socket;
  }

  get signal(): AbortSignal {
    return this.#parts.call.signal;
  }

  send(response: unknown): Promise<void> | undefined {
    return this.sendBytes(this.#method.encode(response));
  }

  sendBytes(message: Uint8Array): Promise<void> | undefined {
    if (this.#parts.call.done) return undefined;
    this.#gatheredBytes += message.length;
    if (this.#gathered.push(framed(message)) === 1) soon(this.#flush);
    if (this.#gatheredBytes > gatheredBytesMax) this.#flush();
    return this.#room?.promise;
  }

  data(bytes: Buffer): void {
    const { call } = this.#parts;
    if (call.done) return;
    try {
      this.#reader.push(bytes);
    } catch (error) {
      return call.fail(this.#parts.explain(error));
    }
    if (this.#waiting.length > waitingMax) call.stream.pause();
    this.#awake();
  }

  ended(): void {
    this.#whole = true;
    if (this.#reader.broken) this.#parts.call.fail(unexpectedEnd());
    this.#awake();
  }

  drained(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  closed(): void {
    this.#whole = true;
    this.#parts.call.closed();
    this.drained();
    this.#awake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const { call } = this.#parts;
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        if (this.#waiting.length === 0) call.stream.resume();
        yield decoded(this.#method, bytes);
      } else if (this.#whole || call.done) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  readonly #flush = (): void => {
    const frames = this.#gathered;
    if (frames.length === 0) return;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const [first] = frames;
    const bytes = frames.length === 1 && first !== undefined ? first : Buffer.concat(frames);
    if (!this.#parts.call.send(bytes)) this.#room ??= newRoom();
  };

  #awake(): void {
    this.#wake?.();
    this.#wake = null;
  }

  async #run(): Promise<void> {
    const { call, explain } = this.#parts;
    try {
      await this.#method.handle(this);
      this.#flush();
      call.succeed();
    } catch (error) {
      this.#flush();
      call.fail(explain(error));
    }
    this.#awake();
  }
}

function newRoom(): Room {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

function unexpectedEnd(): GrpcError {
  return new GrpcError(grpcCode.internal, 'unexpected EOF');
}
