import { createServer, type Server, type Socket } from 'node:net';
import { type Clock, systemClock } from 'waymark/engine';
import { firstBytes } from 'waymark/wire';
import { bind, isLoopback, parseAddress } from './listen-address.js';
import { isMutual, openTls, type Tls, type TlsOptions } from './tls.js';

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
  /** Listen beyond loopback though everyone who connects may do everything. */
  readonly insecure: boolean;
  /** One more is closed at once. */
  readonly connectionsMax: number;
  /** A connection that has not told what it speaks by then is closed. */
  readonly firstByteMs: number;
  /** A connection may begin with a handshake of TLS; what comes then is told apart as without. */
  readonly tls?: TlsOptions | undefined;
  readonly clock?: Clock | undefined;
  /** Told why a connection was not served: 'limit', 'silent', 'unknown', 'tls' (there is none here), 'handshake', 'certificate', 'plain'. */
  readonly refused?: ((reason: string) => void) | undefined;
}

export interface Listener {
  /** As clients name them: `127.0.0.1:7420`, `unix:/run/waymark.sock`. */
  readonly addresses: readonly string[];
  /** Null without. */
  readonly tls: Tls | null;
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

/**
 * One port for every protocol: a connection is told apart by its first bytes.
 *
 * @throws {WaymarkError} `taken` when an address is in use, `denied` beyond loopback without `insecure`, `invalid`
 */
export async function listen(options: ListenOptions, faces: readonly Face[]): Promise<Listener> {
  const anywhere = options.insecure || isMutual(options.tls);
  const addresses = options.listen.map((text) => parseAddress(text, anywhere));
  const port = new Port(options, faces);
  if (options.tls !== undefined) await port.openTls(options.tls);
  const servers: Server[] = [];
  const stop = (): void => {
    for (const server of servers) if (server.listening) server.close();
    port.stop();
  };
  const bound: string[] = [];
  try {
    for (const address of addresses) {
      const server = createServer((socket) => port.accept(socket));
      bound.push(await bind(server, address));
      servers.push(server);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return {
    addresses: bound,
    tls: port.tls,
    connections: () => port.open.size,
    stop,
    async close() {
      stop();
      await Promise.all(
        [...port.open].map(
          (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
        ),
      );
    },
    destroy() {
      for (const socket of port.open) socket.destroy();
    },
  };
}

/** The connections there are, whatever address they came by. */
class Port {
  readonly open = new Set<Socket>();
  tls: Tls | null = null;
  readonly #options: ListenOptions;
  readonly #faces: readonly Face[];
  /** They have not told what they speak. */
  readonly #silent = new Set<Socket>();
  #stopped = false;

  constructor(options: ListenOptions, faces: readonly Face[]) {
    this.#options = options;
    this.#faces = faces;
  }

  async openTls(options: TlsOptions): Promise<void> {
    const { firstByteMs, refused } = this.#options;
    this.tls = await openTls(options, {
      handshakeMs: firstByteMs,
      secured: (socket) => this.#tellApart(socket, { secure: true }),
      refused: (reason) => refused?.(reason),
    });
  }

  accept(socket: Socket): void {
    const { open } = this;
    // Faces listen themselves; this is for the moments when none does. A reset is no event of note.
    socket.on('error', () => socket.destroy());
    if (open.size >= this.#options.connectionsMax) {
      this.#options.refused?.('limit');
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.setNoDelay(true);
    this.#tellApart(socket, { secure: false });
  }

  stop(): void {
    this.#stopped = true;
    for (const socket of this.#silent) socket.destroy();
  }

  #tellApart(socket: Socket, { secure }: { readonly secure: boolean }): void {
    // The handshake was not over when the others were ended.
    if (this.#stopped) return void socket.destroy();
    const tls = secure ? null : this.tls;
    const refused = (reason: string): void => this.#options.refused?.(reason);
    this.#silent.add(socket);
    socket.once('close', () => this.#silent.delete(socket));
    if (secure) socket.on('error', () => socket.destroy());
    tellApart(socket, this.#faces, {
      clock: this.#options.clock ?? systemClock,
      firstByteMs: this.#options.firstByteMs,
      tls,
      plain: tls?.only !== true || isLocal(socket),
      refused,
      told: () => void this.#silent.delete(socket),
    });
  }
}

/** It comes from this machine. */
function isLocal({ remoteAddress }: Socket): boolean {
  return remoteAddress === undefined || isLoopback(remoteAddress);
}

interface Telling {
  readonly clock: Clock;
  readonly firstByteMs: number;
  /** What takes a handshake; null: nothing does. */
  readonly tls: Tls | null;
  /** Whether it may speak without one. */
  readonly plain: boolean;
  readonly refused: (reason: string) => void;
  readonly told: () => void;
}

function tellApart(socket: Socket, faces: readonly Face[], telling: Telling): void {
  const { tls, refused } = telling;
  let head: Buffer = Buffer.alloc(0);
  const refuse = (reason: string, answer: Buffer | string): void => {
    refused(reason);
    socket.end(answer, () => socket.destroy());
  };
  const disarm = telling.clock.after(telling.firstByteMs, () => {
    refused('silent');
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
    telling.told();
    socket.off('readable', look);
    socket.off('end', ended);
    if (other === 'tls' && tls === null) return refuse('tls', tlsAlert);
    if (other !== 'tls' && !telling.plain) return refuse('plain', refusal(400, plainBytes));
    if (other !== 'tls' && face === undefined) return refuse('unknown', refusal(400, unknownBytes));
    socket.unshift(head);
    if (other === 'tls') tls?.accept(socket);
    else face?.serve(socket);
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

const plainBytes = 'this server takes connections with TLS alone: https://';

function refusal(status: 400, detail: string): string {
  const title = 'Bad Request';
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, code: 'invalid' });
  const headers = [
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${body.length}`,
  ];
  return `HTTP/1.1 ${status} ${title}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}
