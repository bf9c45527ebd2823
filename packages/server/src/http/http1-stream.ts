import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Fields, ServedStream, StreamHandler } from '../http2/transport.js';

/** A request over HTTP/1.1 to one who answers streams of HTTP/2. */
export function serveHttp1(
  request: IncomingMessage,
  response: ServerResponse,
  accept: (stream: ServedStream) => StreamHandler,
): void {
  const handler = accept(new Http1Stream(request, response));
  request.on('data', (bytes: Buffer) => handler.data(bytes));
  request.on('end', () => handler.ended());
  response.on('drain', () => handler.drained());
  response.on('close', () => handler.closed());
  // What a client breaks off is told by the close.
  for (const side of [request, response]) side.on('error', () => {});
}

class Http1Stream implements ServedStream {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly fields: Fields;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
    this.method = request.method ?? '';
    this.path = request.url ?? '';
    this.authority = request.headers.host ?? '';
    const { rawHeaders } = request;
    const fields: [string, string][] = [];
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      fields.push([(rawHeaders[at] as string).toLowerCase(), rawHeaders[at + 1] as string]);
    }
    this.fields = fields;
  }

  get socket(): Duplex {
    return this.#request.socket;
  }

  header(name: string): string | undefined {
    for (const [other, value] of this.fields) if (other === name) return value;
    return undefined;
  }

  respond(fields: Fields, end = false): void {
    let status = 200;
    for (const [name, value] of fields) {
      if (name === ':status') status = Number(value);
      else this.#response.setHeader(name, value);
    }
    this.#response.writeHead(status);
    if (end) this.#response.end();
  }

  write(bytes: Uint8Array): boolean {
    return this.#response.write(bytes);
  }

  /** Trailers have no place in what HTTP/1.1 answers here. */
  end(): void {
    this.#response.end();
  }

  reset(): void {
    this.#response.destroy();
  }

  pause(): void {
    this.#request.pause();
  }

  resume(): void {
    this.#request.resume();
  }
}
