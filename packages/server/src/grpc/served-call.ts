import type { Duplex } from 'node:stream';
import type { Clock } from 'waymark/engine';
import { endable } from '../access/standing.js';
import type { Fields, ServedStream } from '../http2/transport.js';
import type { Call } from './call.js';
import { encodeMessage, grpcCode, GrpcError } from './status.js';
import { parseTimeout } from './timeout.js';

const head: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];
const fine: Fields = [['grpc-status', '0']];

/** What every call has: its metadata, its end, and its status. */
export class ServedCall implements Call {
  readonly stream: ServedStream;
  /** The status is told, or nobody is there to be told. */
  done = false;
  readonly #stopping: AbortSignal;
  readonly #disarm: (() => void) | undefined;
  #ending: ReturnType<typeof endable> | null = null;
  #answered = false;

  constructor(stream: ServedStream, clock: Clock, stopping: AbortSignal) {
    this.stream = stream;
    this.#stopping = stopping;
    const timeout = stream.header('grpc-timeout');
    if (timeout === undefined) return;
    const over = (): void =>
      this.fail(new GrpcError(grpcCode.deadlineExceeded, 'context deadline exceeded'));
    const ms = parseTimeout(timeout);
    if (ms === null) {
      const text = `malformed grpc-timeout: ${timeout}`;
      this.fail(new GrpcError(grpcCode.internal, text));
    } else this.#disarm = clock.after(ms, over);
  }

  metadata(key: string): string | undefined {
    return this.stream.header(key);
  }

  get socket(): Duplex {
    return this.stream.socket;
  }

  /** Made for those who ask: most calls are over before. */
  get signal(): AbortSignal {
    if (this.#ending === null) {
      this.#ending = endable(this.#stopping);
      if (this.done) this.#end();
    }
    return this.#ending.signal;
  }

  /** @returns whether there is room for more */
  send(frame: Buffer): boolean {
    if (this.done) return true;
    if (!this.#answered) {
      this.#answered = true;
      this.stream.respond(head);
    }
    return this.stream.write(frame);
  }

  succeed(): void {
    if (this.done) return;
    if (!this.#answered) this.stream.respond(head);
    this.#over();
    this.stream.end(fine);
  }

  fail({ code, message }: GrpcError): void {
    if (this.done) return;
    const status: Fields = [
      ['grpc-status', String(code)],
      ['grpc-message', encodeMessage(message)],
    ];
    const answered = this.#answered;
    this.#over();
    if (answered) this.stream.end(status);
    else this.stream.respond([...head, ...status], true);
  }

  /** The client is gone, or has been told everything. */
  closed(): void {
    if (!this.done) this.#over();
  }

  #over(): void {
    this.done = true;
    this.#disarm?.();
    this.#end();
  }

  /** Who stops the server outlives all calls, and would keep what listens to it. */
  #end(): void {
    this.#ending?.leave();
    this.#ending?.end(gaveUp());
  }
}

function gaveUp(): GrpcError {
  return new GrpcError(grpcCode.cancelled, 'context canceled');
}
