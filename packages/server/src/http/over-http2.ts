import { type IncomingMessage, request as ask, type ClientRequest, type Server } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { addressOf } from '../who.js';
import { isSecure } from './origin.js';
import type { Fields, ServedStream, StreamHandler } from '../http2/transport.js';

/** What REST answers, over HTTP/2: each stream is a connection of its own to the server of HTTP/1.1, in memory. */
export function overHttp2(server: Server): (stream: ServedStream) => StreamHandler {
  return (stream) => new Passage(stream, server);
}

/** Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2). */
const ofConnection = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

const cancelled = 0x8;

/** What the connection in memory shows of the one that the stream came by. */
function peerOf(socket: Duplex): object {
  const { authorized } = socket as Partial<TLSSocket>;
  const remoteAddress = addressOf(socket);
  const getPeerCertificate = (): unknown => (socket as Partial<TLSSocket>).getPeerCertificate?.();
  return { encrypted: isSecure(socket), authorized, remoteAddress, getPeerCertificate };
}

class Passage implements StreamHandler {
  readonly #stream: ServedStream;
  readonly #server: Server;
  #request: ClientRequest | null = null;
  #response: IncomingMessage | null = null;

  constructor(stream: ServedStream, server: Server) {
    this.#stream = stream;
    this.#server = server;
  }

  data(bytes: Buffer): void {
    this.#request ??= this.#begin({ body: true });
    if (!this.#request.write(bytes)) this.#stream.pause();
  }

  ended(): void {
    this.#request ??= this.#begin({ body: false });
    this.#request.end();
  }

  drained(): void {
    this.#response?.resume();
  }

  closed(): void {
    this.#request?.destroy();
  }

  #begin({ body }: { readonly body: boolean }): ClientRequest {
    const [near, far] = duplexPair();
    // One side does not tell the other that it is gone.
    near.once('close', () => far.destroy());
    this.#server.emit('connection', Object.assign(far, peerOf(this.#stream.socket)));
    const { method, path, fields, authority } = this.#stream;
    const headers = ['host', authority];
    for (const [name, value] of fields) {
      if (!ofConnection.has(name) && name !== 'host') headers.push(name, value);
    }
    if (this.#stream.header('content-length') === undefined) {
      if (body) headers.push('transfer-encoding', 'chunked');
      else if (method === 'POST' || method === 'PUT') headers.push('content-length', '0');
    }
    const request = ask({ createConnection: () => near, method, path, headers, setHost: false });
    request.on('response', (response) => this.#answer(response));
    request.on('drain', () => this.#stream.resume());
    request.on('error', () => this.#stream.reset(cancelled));
    return request;
  }

  #answer(response: IncomingMessage): void {
    this.#response = response;
    const { statusCode = 500, rawHeaders } = response;
    const fields: [string, string][] = [[':status', String(statusCode)]];
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const name = (rawHeaders[at] as string).toLowerCase();
      if (!ofConnection.has(name)) fields.push([name, rawHeaders[at + 1] as string]);
    }
    this.#stream.respond(fields satisfies Fields);
    response.on('data', (bytes: Buffer) => {
      if (!this.#stream.write(bytes)) response.pause();
    });
    response.on('end', () => this.#stream.end());
    response.on('error', () => this.#stream.reset(cancelled));
  }
}
