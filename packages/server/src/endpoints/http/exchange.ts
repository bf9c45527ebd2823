import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { HttpPool } from './pool.js';

/** What an endpoint answers is read so far, so that its connection can be used again, and no further. */
const answerBytesMax = 16_384;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/**
 * One request and its answer, of which the head is told and the rest is thrown away. It takes the dispatcher's own calls: no stream is made of an answer that
 * nobody reads.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  /** With the head of the answer. @throws what it was aborted with, or what the dispatcher says */
  readonly answer: Promise<Answer>;
  readonly #pool: HttpPool;
  readonly #client: ReturnType<HttpPool['take']>;
  #resolve!: (answer: Answer) => void;
  #reject!: (error: Error) => void;
  #over = false;
  #bytes = 0;

  constructor(pool: HttpPool, request: Dispatcher.DispatchOptions) {
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#pool = pool;
    this.#client = pool.take();
    this.#client.dispatch(request, this);
  }

  /** Whether the answer has come whole, or never will. */
  get over(): boolean {
    return this.#over;
  }

  /** Breaks it off, and its connection with it, unless it is over. */
  abort(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(reason);
    this.#pool.drop(this.#client);
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    // What comes before is about the way, and no answer.
    if (status >= 200) this.#resolve({ status, headers });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > answerBytesMax) this.abort(new Error('the answer is too long'));
  }

  onResponseEnd(): void {
    this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#reject(error);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pool.give(this.#client);
  }
}
