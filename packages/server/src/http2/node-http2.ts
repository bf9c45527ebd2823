import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type {
  Fields,
  ServedStream,
  StreamHandler,
  Transport,
  TransportOptions,
} from './transport.js';

const pingAfterMs = 7_200_000;
const pingTimeoutMs = 20_000;

/** HTTP/2 by Node's own module. It refuses an `:authority` that is no host, and ends connections that cancel a thousand streams at once. */
export function createNodeTransport(options: TransportOptions): Transport {
  const sessions = new Set<ServerHttp2Session>();
  const server: Http2Server = createServer({
    settings: {
      maxConcurrentStreams: options.streamsMax ?? 1_000,
      maxHeaderListSize: options.fieldBytesMax ?? 65_536,
      initialWindowSize: 1_048_576,
    },
    maxSessionMemory: 64,
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', () => options.refused?.('protocol'));
    watchOver(session, options);
  });
  // The types do not know of the fourth argument, the field lines as they came.
  const onStream = (stream: ServerHttp2Stream, ...[, , raw]: unknown[]): void =>
    serveStream(stream, raw as readonly string[], options);
  server.on('stream', onStream);
  return {
    serve: (socket) => void server.emit('connection', socket),
    get connections() {
      return sessions.size;
    },
    async drain(graceMs) {
      const closed = [...sessions].map(
        (session) => new Promise<void>((resolve) => void session.once('close', resolve)),
      );
      const disarm = options.clock.after(graceMs, () => {
        for (const session of sessions) session.destroy();
      });
      for (const session of sessions) session.close();
      await Promise.all(closed);
      disarm();
    },
  };
}

function serveStream(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  options: TransportOptions,
): void {
  const served = new NodeStream(stream, raw);
  const handler: StreamHandler = options.accept(served);
  // What a client breaks off is told by the close.
  stream.on('error', () => {});
  stream.on('data', (bytes: Buffer) => handler.data(bytes));
  stream.on('end', () => handler.ended());
  stream.on('drain', () => handler.drained());
  stream.on('wantTrailers', () => served.sendTrailers());
  stream.on('close', () => handler.closed());
}

class NodeStream implements ServedStream {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly fields: Fields;
  readonly #stream: ServerHttp2Stream;
  #trailers: Fields = [];

  constructor(stream: ServerHttp2Stream, raw: readonly string[]) {
    this.#stream = stream;
    const fields: [string, string][] = [];
    let [method, path, authority] = ['', '', ''];
    for (let at = 0; at + 1 < raw.length; at += 2) {
      const [name = '', value = ''] = [raw[at], raw[at + 1]];
      if (name === ':method') method = value;
      else if (name === ':path') path = value;
      else if (name === ':authority') authority = value;
      else if (!name.startsWith(':')) fields.push([name, value]);
    }
    this.method = method;
    this.path = path;
    this.fields = fields;
    this.authority = authority || (this.header('host') ?? '');
  }

  get socket(): Duplex {
    return this.#stream.session?.socket as Duplex;
  }

  header(name: string): string | undefined {
    for (const [other, value] of this.fields) if (other === name) return value;
    return undefined;
  }

  respond(fields: Fields, end = false): void {
    if (!this.#open()) return;
    this.#stream.respond(headersOf(fields), { endStream: end, waitForTrailers: !end });
  }

  write(bytes: Uint8Array): boolean {
    return !this.#open() || this.#stream.write(bytes);
  }

  end(trailers: Fields = []): void {
    if (!this.#open()) return;
    this.#trailers = trailers;
    this.#stream.end();
  }

  /** Without any this ends the body with an empty frame; to close the stream instead leaves some clients waiting for the end. */
  sendTrailers(): void {
    this.#stream.sendTrailers(headersOf(this.#trailers));
  }

  reset(code: number): void {
    if (this.#open()) this.#stream.close(code);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  #open(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }
}

function headersOf(fields: Fields): IncomingHttpHeaders {
  const headers: Record<string, string> = {};
  for (const [name, value] of fields) headers[name] = value;
  return headers;
}

/** Ends a connection whose other side is gone without a word. */
function watchOver(session: ServerHttp2Session, options: TransportOptions): void {
  const { clock } = options;
  let disarm = (): void => {};
  const wait = (): void => {
    disarm = clock.after(options.pingAfterMs ?? pingAfterMs, ping);
  };
  const ping = (): void => {
    if (session.destroyed) return;
    const silent = clock.after(options.pingTimeoutMs ?? pingTimeoutMs, () => {
      options.refused?.('silent');
      session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
    });
    session.ping((error) => {
      silent();
      if (error === null) wait();
    });
  };
  session.once('close', () => disarm());
  wait();
}
