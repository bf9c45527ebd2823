import { connect } from 'node:net';
import { type RunningServer, type ServerOptions, startServer } from '@waymark/server';

export interface Served extends AsyncDisposable {
  readonly server: RunningServer;
  readonly address: string;
  readonly port: number;
  /** `http://127.0.0.1:port` */
  readonly base: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
}

export interface CallOptions {
  readonly body?: string | Uint8Array | object;
  readonly headers?: Record<string, string>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** A server in this process, on a free port, in memory. */
export async function serve(options: ServerOptions = {}): Promise<Served> {
  const server = await startServer({
    listen: ['127.0.0.1:0'],
    engine: 'memory',
    logLevel: 'silent',
    // Node's fetch opens a connection in advance where one is aborted: a test that makes use of it ten seconds later would meet its end.
    firstByteMs: 600_000,
    ...options,
  });
  const address = server.addresses[0] ?? '';
  const base = `http://${address}`;
  return {
    server,
    address,
    port: Number(address.split(':').at(-1)),
    base,
    call: (method, path, call) => callAt(base, method, path, call),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function callAt(
  base: string,
  method: string,
  path: string,
  { body, headers = {} }: CallOptions = {},
): Promise<Answer> {
  const sent =
    typeof body === 'string' || body instanceof Uint8Array
      ? Buffer.from(body)
      : JSON.stringify(body);
  const response = await fetch(base + path, {
    method,
    headers:
      typeof sent === 'string' ? { 'content-type': 'application/json', ...headers } : headers,
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await response.text();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Not JSON: the test looks at the text.
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** Sends bytes as they are, which fetch would tidy up, and reads until the server closes or `until` holds. */
export function raw(
  port: number,
  bytes: string | Buffer,
  until: (text: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (until(text)) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? undefined : reject(error),
    );
    socket.write(bytes);
  });
}

/** One request line as it is. */
export async function rawRequest(
  port: number,
  method: string,
  target: string,
  headers = '',
): Promise<number> {
  const text = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`;
  const answer = await raw(port, text);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}
