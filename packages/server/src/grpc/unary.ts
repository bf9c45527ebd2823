import type { Duplex } from 'node:stream';
import type { Admission } from 'waymark/wire';
import type { StreamHandler } from '../http2/transport.js';
import { framed, MessageReader } from './message-reader.js';
import type { Method } from './methods.js';
import type { ServedCall } from './served-call.js';
import { grpcCode, GrpcError } from './status.js';

export interface CallParts {
  readonly call: ServedCall;
  readonly bytesMax: number;
  /** What clients are told of an error. */
  readonly explain: (error: unknown) => GrpcError;
  readonly admission?: Admission | undefined;
  readonly spend?: ((socket: Duplex, token?: string) => Error | null) | undefined;
}

/** What is urgent has no rate. @returns why the client may not call now */
export function rateRefusal(
  { load }: Pick<Method, 'load'>,
  { call, spend }: Pick<CallParts, 'call' | 'spend'>,
): Error | null {
  if (load === 'urgent') return null;
  return spend?.(call.socket, call.metadata('token') ?? call.metadata('authorization')) ?? null;
}

const uncounted = -1;

/** One question, one answer. */
export class UnaryCall implements StreamHandler {
  readonly #method: Extract<Method, { kind: 'unary' }>;
  readonly #parts: CallParts;
  readonly #reader: MessageReader;
  #request: Buffer | null = null;
  #counted = uncounted;

  constructor(method: Extract<Method, { kind: 'unary' }>, parts: CallParts) {
    this.#method = method;
    this.#parts = parts;
    this.#reader = new MessageReader(parts.bytesMax, (bytes) => {
      if (this.#request !== null) throw new GrpcError(grpcCode.internal, tooMany);
      this.#request = bytes;
    });
  }

  data(bytes: Buffer): void {
    if (this.#parts.call.done) return;
    try {
      this.#reader.push(bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  ended(): void {
    if (this.#parts.call.done) return;
    if (this.#request === null || this.#reader.broken) {
      return this.#fail(new GrpcError(grpcCode.internal, 'unexpected EOF'));
    }
    const { admission } = this.#parts;
    if (this.#method.load === 'urgent') return this.#run();
    const refusal = rateRefusal(this.#method, this.#parts);
    if (refusal !== null) return this.#fail(refusal);
    if (admission === undefined) return this.#run();
    const bytes = this.#request.length;
    if (admission.enter(bytes)) return this.#count(bytes);
    const begin = (): void => this.#count(bytes);
    admission.wait({ bytes, begin, refused: (error) => this.#fail(error) });
  }

  /** It is under way until it has an answer; what waits for others is no work. */
  #count(bytes: number): void {
    this.#counted = bytes;
    if (this.#parts.call.done) return this.#leave();
    this.#run();
    if (this.#method.load === 'waits') this.#leave();
  }

  #leave(): void {
    if (this.#counted === uncounted) return;
    const bytes = this.#counted;
    this.#counted = uncounted;
    this.#parts.admission?.leave(bytes);
  }

  #run(): void {
    try {
      const request = decoded(this.#method, this.#request as Buffer);
      const response = this.#method.handle(request, this.#parts.call);
      if (response instanceof Promise) {
        response.then(this.#answer).catch((error: unknown) => this.#fail(error));
      } else this.#answer(response);
    } catch (error) {
      this.#fail(error);
    }
  }

  drained(): void {}

  closed(): void {
    this.#parts.call.closed();
  }

  readonly #answer = (response: unknown): void => {
    const { call } = this.#parts;
    this.#leave();
    if (call.done) return;
    call.send(framed(this.#method.encode(response)));
    call.succeed();
  };

  #fail(error: unknown): void {
    this.#leave();
    this.#parts.call.fail(this.#parts.explain(error));
  }
}

const tooMany = 'grpc: a unary call has one message';

export function decoded(method: Method, bytes: Buffer): unknown {
  try {
    return method.decode(bytes);
  } catch (error) {
    const text = `grpc: error unmarshalling request: ${(error as Error).message}`;
    throw new GrpcError(grpcCode.internal, text, error);
  }
}
