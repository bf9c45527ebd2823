import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

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
  #resolve!: (answer: Answer) => void;
  #reject!: (error: Error) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #aborted: Error | null = null;
  #over = false;
  #bytes = 0;

  constructor() {
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Breaks it off, and its connection with it, unless it is over. */
  abort(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#aborted = reason;
    this.#controller?.abort(reason);
    this.#reject(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted !== null) controller.abort(this.#aborted);
  }

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
    this.#over = true;
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#over = true;
    this.#reject(error);
  }
}
