import type { Duplex } from 'node:stream';
import { MessageReader } from '../../grpc/message-reader.js';
import { type GrpcCode, grpcCode } from '../../grpc/status.js';
import type { Fields, ServedStream } from '../../http2/transport.js';
import { gatewayKey } from '../auth-caller.js';
import type { Answer } from './answers.js';

/** The call as gRPC sees it. */
export class CallStream implements ServedStream {
  readonly method = 'POST';
  readonly path: string;
  readonly authority: string;
  readonly fields: Fields;
  readonly #stream: ServedStream;
  readonly #answer: Answer;
  readonly #reader: MessageReader;
  /** The answer is told. */
  over = false;
  #room = true;

  constructor(stream: ServedStream, path: string, answer: Answer) {
    this.path = path;
    this.authority = stream.authority;
    this.fields = metadataOf(stream.fields);
    this.#stream = stream;
    this.#answer = answer;
    const anything = Number.MAX_SAFE_INTEGER;
    this.#reader = new MessageReader(anything, (bytes) => (this.#room = answer.message(bytes)));
  }

  header(name: string): string | undefined {
    for (const [other, value] of this.fields) if (other === name) return value;
    return undefined;
  }

  get socket(): Duplex {
    return this.#stream.socket;
  }

  respond(fields: Fields, end = false): void {
    if (end) this.end(fields);
  }

  write(bytes: Uint8Array): boolean {
    this.#reader.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    return this.#room;
  }

  end(trailers: Fields = []): void {
    this.over = true;
    const said = new Map(trailers);
    const code = Number(said.get('grpc-status') ?? grpcCode.unknown) as GrpcCode;
    this.#answer.end(code, decodeURIComponent(said.get('grpc-message') ?? ''));
  }

  reset(code: number): void {
    this.#stream.reset(code);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}

const metadataPrefix = 'grpc-metadata-';

/** The metadata a request has: the fields that say so, and two that are known. */
const passedOn = new Set(['authorization', 'grpc-timeout', 'traceparent', 'tracestate']);

function metadataOf(fields: Fields): Fields {
  const metadata: [string, string][] = [[gatewayKey, '']];
  for (const [name, value] of fields) {
    if (passedOn.has(name)) metadata.push([name, value]);
    if (name.startsWith(metadataPrefix)) metadata.push([name.slice(metadataPrefix.length), value]);
  }
  return metadata;
}
