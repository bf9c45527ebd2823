import { type DescMethod, toBinary } from 'waymark/etcd';
import { framed } from '../../grpc/message-reader.js';
import { grpcCode } from '../../grpc/status.js';
import type { ServedStream, StreamHandler } from '../../http2/transport.js';
import { answerOf, respondError } from './answers.js';
import type { Binding } from './bindings.js';
import { CallStream } from './call-stream.js';
import { messageOf } from './from-json.js';
import { type Json, JsonError, JsonValues } from './json-values.js';

export interface CallOptions {
  readonly grpc: (stream: ServedStream) => StreamHandler;
  /** Of one message. */
  readonly bytesMax: number;
}

/** Base64 and names make a message longer than it is on the wire of gRPC. */
const jsonFactor = 2;

/** One request in JSON: to its client it is who answers, to gRPC a call. */
export class GatewayCall implements StreamHandler {
  readonly #stream: ServedStream;
  readonly #method: DescMethod;
  readonly #values: JsonValues;
  readonly #grpc: StreamHandler;
  readonly #call: CallStream;
  /** What the one message is, or why it is none, to be told when the body is whole: only then does every client read. */
  #one: Buffer | JsonError | null = null;
  /** Requests of a conversation that have been handed on. */
  #requests = 0;
  #whole = false;

  constructor(stream: ServedStream, { service, method }: Binding, options: CallOptions) {
    this.#stream = stream;
    this.#method = method;
    this.#values = new JsonValues(options.bytesMax * jsonFactor, (json) => this.#request(json));
    const path = `/${service.typeName}/${method.name}`;
    this.#call = new CallStream(stream, path, answerOf(stream, method));
    this.#grpc = options.grpc(this.#call);
  }

  data(bytes: Buffer): void {
    this.#read(() => this.#values.push(bytes));
  }

  ended(): void {
    this.#read(() => this.#values.end());
    if (this.#whole || this.#call.over) return;
    this.#whole = true;
    if (!this.#takesMany) {
      // Nothing at all is a message that says nothing.
      this.#one ??= this.#framed({});
      if (this.#one instanceof JsonError) return this.#refuse(this.#one);
      this.#grpc.data(this.#one);
    }
    this.#grpc.ended();
  }

  drained(): void {
    this.#grpc.drained();
  }

  closed(): void {
    this.#whole = true;
    this.#grpc.closed();
  }

  get #takesMany(): boolean {
    return this.#method.methodKind === 'bidi_streaming';
  }

  #read(read: () => void): void {
    if (this.#whole || this.#call.over) return;
    try {
      read();
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      if (error.code === grpcCode.resourceExhausted) this.#refuse(error);
      else if (!this.#takesMany) this.#one ??= error;
      else this.#breakOff(error);
    }
  }

  #request(json: Json): void {
    if (!this.#takesMany) this.#one ??= this.#framed(json);
    else if (!this.#whole) {
      this.#grpc.data(this.#framed(json));
      this.#requests++;
    }
  }

  #framed(json: Json): Buffer {
    const { input } = this.#method;
    return framed(toBinary(input, messageOf(input, json)));
  }

  /** What comes after good requests of a conversation ends them; what comes first is refused as etcd does it there. */
  #breakOff({ message }: JsonError): void {
    if (this.#requests === 0) return this.#refuse(new JsonError(message, grpcCode.unknown));
    this.#whole = true;
    this.#grpc.ended();
  }

  #refuse({ code, message }: JsonError): void {
    this.#whole = true;
    respondError(this.#stream, code, message);
    this.#grpc.closed();
  }
}
