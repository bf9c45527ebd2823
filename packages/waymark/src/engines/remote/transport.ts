import { readFileSync } from 'node:fs';
import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net';
import { WaymarkError } from '../../core/errors.js';
import { preface } from '../../wire/frames.js';
import { overWebSocket, type WebSocketLike } from './web-socket.js';

/** A stream of bytes to a server: TCP, a Unix socket, or WebSocket messages that carry the same frames. */
export interface Transport {
  send(bytes: Buffer): void;
  /** Bytes handed over and not yet written. */
  readonly buffered: number;
  /** Sends what is buffered, then ends. */
  end(): void;
  destroy(): void;
}

export interface TransportEvents {
  opened(): void;
  data(chunk: Buffer): void;
  /** What was buffered has been written. */
  drained(): void;
  closed(cause: Error | undefined): void;
}

/** @throws {WaymarkError} `invalid` for a URL no server can be reached by */
export async function openTransport(url: string, events: TransportEvents): Promise<Transport> {
  if (url.startsWith('unix:')) {
    const onread = readInto(events);
    return overSocket(connectTcp({ path: url.slice('unix:'.length), onread }), 'connect', events);
  }
  const { protocol, hostname, port, searchParams } = parse(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  switch (protocol) {
    case 'http:':
    case 'tcp:':
      return overSocket(
        connectTcp({ host, port: Number(port || 7420), onread: readInto(events) }),
        'connect',
        events,
      );
    case 'https:': {
      const { connect } = await import('node:tls');
      const files = tlsFilesOf(searchParams);
      // An address is no name to ask for (RFC 6066 section 3): the certificate is held against it all the same.
      const servername = isIP(host) === 0 ? host : '';
      const options = { host, port: Number(port || 7420), servername, ...files };
      return overSocket(connect(options), 'secureConnect', events);
    }
    case 'ws:':
    case 'wss:':
      return await openWebSocket(url, events, protocol === 'wss:' ? tlsFilesOf(searchParams) : {});
    default:
      throw new WaymarkError('invalid', `no server speaks '${protocol}': take http, unix or ws`);
  }
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch (cause) {
    throw new WaymarkError('invalid', `'${url}' is no URL of a server`, {}, cause);
  }
}

interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** What the query names: PEM files of the authority that is trusted, and of the certificate that is shown. @throws {WaymarkError} `invalid` */
function tlsFilesOf(query: URLSearchParams): TlsFiles {
  const files: Record<string, Buffer> = {};
  for (const [name, file] of query) {
    if (!['ca', 'cert', 'key'].includes(name))
      throw new WaymarkError('invalid', `TLS has no option '${name}': take ca, cert and key`);
    try {
      files[name] = readFileSync(file);
    } catch (cause) {
      throw new WaymarkError('invalid', `${name}: ${(cause as Error).message}`, { file }, cause);
    }
  }
  if (query.has('cert') !== query.has('key'))
    throw new WaymarkError('invalid', 'cert and key go together');
  return files;
}

/** Reads into one buffer again and again: what is kept of a chunk is copied by whoever keeps it. */
function readInto(events: TransportEvents): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(65_536),
    callback(length, buffer) {
      events.data((buffer as Buffer).subarray(0, length));
      return true;
    },
  };
}

function overSocket(socket: Socket, ready: string, events: TransportEvents): Transport {
  let failure: Error | undefined;
  socket.setNoDelay(true);
  socket.once(ready, () => {
    socket.write(preface);
    events.opened();
  });
  socket.on('data', (chunk: Buffer) => events.data(chunk));
  socket.resume();
  socket.on('drain', () => events.drained());
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => events.closed(failure));
  return {
    send: (bytes) => void socket.write(bytes),
    get buffered() {
      return socket.writableLength;
    },
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

async function openWebSocket(
  url: string,
  events: TransportEvents,
  files: TlsFiles,
): Promise<Transport> {
  const target = new URL(url);
  const own = Object.keys(files).length > 0;
  if (own) target.search = '';
  const Constructor = await webSocketConstructor({ own });
  return overWebSocket(target, events, (href) => new Constructor(href, ...(own ? [files] : [])));
}

type WebSocketConstructor = new (url: string, options?: TlsFiles) => WebSocketLike;

/**
 * Newer Node has a WebSocket of its own; else the `ws` package brings one with the same face.
 *
 * @param call.own  it is to take files, which Node's own does not
 */
async function webSocketConstructor(call: {
  readonly own: boolean;
}): Promise<WebSocketConstructor> {
  if (typeof globalThis.WebSocket === 'function' && !call.own) {
    return globalThis.WebSocket as unknown as WebSocketConstructor;
  }
  const { WebSocket } = await import('ws');
  return WebSocket as unknown as WebSocketConstructor;
}
