import { STATUS_CODES } from 'node:http';
import { type DescMethod, fromBinary } from 'waymark/etcd';
import { type GrpcCode, grpcCode, httpStatusOf } from '../../grpc/status.js';
import type { Fields, ServedStream } from '../../http2/transport.js';
import { jsonOf, printed } from './to-json.js';

/** What becomes of what gRPC answers. */
export interface Answer {
  /** @returns whether there is room for more */
  message(bytes: Buffer): boolean;
  end(code: GrpcCode, text: string): void;
}

export function answerOf(stream: ServedStream, method: DescMethod): Answer {
  const streams =
    method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming';
  return streams ? new Lines(stream, method) : new Document(stream, method);
}

/** One message: the body. */
class Document implements Answer {
  readonly #stream: ServedStream;
  readonly #method: DescMethod;
  #body = '{}';

  constructor(stream: ServedStream, method: DescMethod) {
    this.#stream = stream;
    this.#method = method;
  }

  message(bytes: Buffer): boolean {
    const { output } = this.#method;
    this.#body = printed(jsonOf(output, fromBinary(output, bytes)));
    return true;
  }

  end(code: GrpcCode, text: string): void {
    if (code === grpcCode.ok) respond(this.#stream, 200, this.#body);
    else respondError(this.#stream, code, text);
  }
}

/** Each message is a line. */
class Lines implements Answer {
  readonly #stream: ServedStream;
  readonly #method: DescMethod;
  #begun = false;

  constructor(stream: ServedStream, method: DescMethod) {
    this.#stream = stream;
    this.#method = method;
  }

  message(bytes: Buffer): boolean {
    const { output } = this.#method;
    if (!this.#begun) this.#begin(200);
    const line = printed({ result: jsonOf(output, fromBinary(output, bytes)) });
    return this.#stream.write(Buffer.from(`${line}\n`));
  }

  end(code: GrpcCode, text: string): void {
    const status = httpStatusOf(code);
    if (!this.#begun) this.#begin(status);
    if (code !== grpcCode.ok) {
      const http_status = STATUS_CODES[status];
      const error = { grpc_code: code, http_code: status, message: text, http_status };
      this.#stream.write(Buffer.from(printed({ error })));
    }
    this.#stream.end();
  }

  #begin(status: number): void {
    this.#begun = true;
    this.#stream.respond(headOf(status));
  }
}

export function respondError(stream: ServedStream, code: GrpcCode, text: string): void {
  respond(stream, httpStatusOf(code), printed({ error: text, message: text, code }));
}

function respond(stream: ServedStream, status: number, body: string): void {
  const bytes = Buffer.from(body);
  stream.respond([...headOf(status), ['content-length', String(bytes.length)]]);
  stream.write(bytes);
  stream.end();
}

function headOf(status: number): Fields {
  return [
    [':status', String(status)],
    ['content-type', 'application/json'],
  ];
}
