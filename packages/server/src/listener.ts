import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Clock, systemClock, WaymarkError } from 'waymark/engine';
import { firstBytes, startListening } from 'waymark/wire';

/** One protocol of the port. It owns a socket from `serve` on; the bytes read to tell it are back in the socket. */
export interface Face {
  readonly name: string;
  /** Whether a connection that begins so speaks it; undefined when more bytes are needed. */
  readonly speaks: (bytes: Uint8Array) => boolean | undefined;
  readonly serve: (socket: Socket) => void;
}

export interface ListenOptions {
  /** `host:port` (port 0: a free one), `[ipv6]:port`, `unix:/path`. */
  readonly listen: readonly string[];
  /** Listen beyond loopback though there are no access rules. */
  readonly insecure: boolean;
  /** One more is closed at once. */
  readonly connectionsMax: number;
  /** A connection that has not told what it speaks by then is closed. */
  readonly firstByteMs: number;
  readonly clock?: Clock | undefined;
  /** Told why a connection was not served: 'limit', 'silent', 'tls', 'unknown'. */
  readonly refused?: ((reason: string) => void) | undefined;
}

export interface Listener {
  /** As clients name them: `127.0.0.1:7420`, `unix:/run/waymark.sock`. */
  readonly addresses: readonly string[];
  connections(): number;
  /** Stops accepting, and ends those that have not said what they speak. */
  stop(): void;
  /** Stops accepting; resolves when the last connection has ended. */
  close(): Promise<void>;
  /** Ends what is still open, at once. */
  destroy(): void;
}

/** Speaks what begins with one of these ASCII words. */
export function beginsWith(...words: readonly string[]): Face['speaks'] {
  return (bytes) => {
    const text = Buffer.from(
      bytes.buffer,
      bytes.byteOffset,
      Math.min(bytes.byteLength, 16),
    ).toString('latin1');
    if (words.some((word) => text.startsWith(word))) return true;
    return words.some((word) => word.startsWith(text)) ? undefined : false;
  };
}

/** @param address  as a listener names it */
export function urlOf(address: string): string {
  return address.startsWith('unix:') ? address : `http://${address}`;
}

type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * One port for every protocol: a connection is told apart by its first bytes.
 *
 * @throws {WaymarkError} `taken` when an address is in use, `denied` beyond loopback without `insecure`, `invalid`
 */
export async function listen(options: ListenOptions, faces: readonly Face[]): Promise<Listener> {
  const addresses = options.listen.map((text) => parseAddress(text, options.insecure));
  const open = new Set<Socket>();
  const silent = new Set<Socket>();
  const servers: Server[] = [];
  const accept = (socket: Socket): void => {
    // Faces listen themselves; this is for the moments when none does. A reset is no event of note.
    socket.on('error', () => socket.destroy());
    if (open.size >= options.connectionsMax) {
      options.refused?.('limit');
      socket.destroy();
      return;
    }
    open.add(socket);
    silent.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      silent.delete(socket);
    });
    socket.setNoDelay(true);
    tellApart(socket, options, faces, () => silent.delete(socket));
  };
  const stop = (): void => {
    for (const server of servers) if (server.listening) server.close();
    for (const socket of silent) socket.destroy();
  };
  const bound: string[] = [];
  try {
    for (const address of addresses) {
      const server = createServer(accept);
      bound.push(await bind(server, address));
      servers.push(server);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return {
    addresses: bound,
    connections: () => open.size,
    stop,
    async close() {
      stop();
      await Promise.all(
        [...open].map(
          (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
        ),
      );
    },
    destroy() {
      for (const socket of open) socket.destroy();
    },
  };
}

function tellApart(
  socket: Socket,
  options: ListenOptions,
  faces: readonly Face[],
  told: () => void,
): void {
  let head: Buffer = Buffer.alloc(0);
  const refuse = (reason: string, answer: Buffer | string): void => {
    options.refused?.(reason);
    socket.end(answer, () => socket.destroy());
  };
  const disarm = (options.clock ?? systemClock).after(options.firstByteMs, () => {
    options.refused?.('silent');
    socket.destroy();
  });
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const answers = faces.map((face) => face.speaks(head));
    const face = faces[answers.indexOf(true)];
    const other = firstBytes(head);
    // A connection stays undecided only while some face may still turn out to be meant.
    if (
      face === undefined &&
      (other === 'more' || (other === 'http1' && answers.includes(undefined)))
    )
      return;
    disarm();
    told();
    socket.off('readable', look);
    socket.off('end', ended);
    if (other === 'tls') return refuse('tls', tlsAlert);
    if (face === undefined) return refuse('unknown', refusal(400, 'Bad Request', unknownBytes));
    socket.unshift(head);
    face.serve(socket);
  };
  const ended = (): void => void socket.destroy();
  socket.on('readable', look);
  socket.once('end', ended);
  socket.once('close', disarm);
}

/** A fatal alert, protocol_version: what a TLS client shows as a clear error. */
const tlsAlert = Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46]);

const unknownBytes =
  'these first bytes are no HTTP/1.1 request, no HTTP/2 preface and not the Waymark protocol';

function refusal(status: number, title: string, detail: string): string {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, code: 'invalid' });
  const headers = [
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${body.length}`,
  ];
  return `HTTP/1.1 ${status} ${title}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

function parseAddress(text: string, insecure: boolean): Address {
  if (text.startsWith('unix:')) return { kind: 'unix', path: unixPath(text) };
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || host === '' || !(port <= 65_535)) {
    throw new WaymarkError(
      'invalid',
      `cannot listen on '${text}': take host:port, [::1]:port or unix:/path`,
    );
  }
  if (!isLoopback(host) && !insecure) {
    throw new WaymarkError(
      'denied',
      `refusing to listen on ${text}: everyone who reaches it could read and write everything. Listen on 127.0.0.1 ` +
        'behind a proxy that checks who calls, or pass --insecure where the network itself is trusted',
    );
  }
  return { kind: 'tcp', host, port };
}

/** Names and literals that cannot be reached from another machine. */
function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(name);
}

function unixPath(text: string): string {
  const path = text.slice('unix:'.length);
  if (path.startsWith('/') && Buffer.byteLength(path) <= 107) return path;
  throw new WaymarkError(
    'invalid',
    `'${text}': a Unix socket has an absolute path of at most 107 bytes`,
  );
}

async function bind(server: Server, address: Address): Promise<string> {
  if (address.kind === 'unix') {
    await removeStale(address.path);
    // Nobody else may connect between bind and chmod.
    const umask = process.umask(0o177);
    try {
      await startListening(server, { path: address.path });
    } finally {
      process.umask(umask);
    }
    await chmod(address.path, 0o600);
    return `unix:${address.path}`;
  }
  const { host, port } = address;
  await startListening(server, { host, port });
  const bound = server.address();
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
  return `${host.includes(':') ? `[${host}]` : host}:${actual}`;
}

/** A socket file that nobody answers on was left by a process that was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket())
    throw new WaymarkError('invalid', `${path} exists and is no socket`, { file: path });
  if (await answers(path)) {
    throw new WaymarkError(
      'taken',
      `another process listens on unix:${path}: stop it or take another path`,
    );
  }
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
