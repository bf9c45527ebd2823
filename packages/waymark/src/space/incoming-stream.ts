import type { ByteString } from '../core/engine.js';
import type { Incoming } from '../recipes/outgoing.js';
import { cutError, type StreamEnd, wordsOf } from './stream-end.js';
import type * as types from './stream-types.js';

export interface IncomingParts<B> {
  readonly message: Incoming;
  readonly end: StreamEnd;
  readonly handler: types.StreamHandler<B>;
  /** @returns why what comes is not for this member any more */
  readonly refuse: () => string | undefined;
  readonly encode: (reply: unknown) => ByteString;
  readonly decode: (bytes: ByteString) => B;
}

/** A stream at the member it goes to. */
export class IncomingStream<B> implements types.MessageStream<B>, AsyncIterator<B> {
  readonly from: string;
  readonly kind: 'send' | 'broadcast';
  readonly term: number | null;
  readonly signal: AbortSignal;
  readonly #parts: IncomingParts<B>;
  #left = false;

  constructor(parts: IncomingParts<B>) {
    const { from, kind, term } = parts.message;
    this.#parts = parts;
    this.from = from;
    this.kind = kind === 'broadcastStream' ? 'broadcast' : 'send';
    this.term = term ?? null;
    this.signal = parts.end.cutOff;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<B>> {
    const { end, refuse, decode } = this.#parts;
    if (this.#left) return { value: undefined, done: true };
    const read = await end.read();
    const why = refuse();
    if (why !== undefined) end.cut({ how: 'lost', why });
    this.signal.throwIfAborted();
    if (typeof read === 'string') return { value: decode(read), done: false };
    this.#left = true;
    if (read.how !== 'done') throw cutError(read);
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<B>> {
    this.#left = true;
    return { value: undefined, done: true };
  }

  /** Runs the handler to its end, and tells the sender how it ended. */
  async handle(): Promise<void> {
    const { end, handler, encode } = this.#parts;
    try {
      for await (const reply of handler(this)) {
        if (!(await end.write(encode(reply)))) break;
      }
      await end.finish({ how: 'done', why: '' });
    } catch (error) {
      await end.finish({ how: 'failed', why: wordsOf(error) });
    }
  }
}
