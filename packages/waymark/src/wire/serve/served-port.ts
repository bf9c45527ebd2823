import { createHash, timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import type { Hello } from '../hello.js';
import type { CallTable } from './served-calls.js';
import { ServedConnections } from './served-connections.js';
import { startListening } from './start-listening.js';

/** What was answered is read by then, or lost. */
const goodbyeMs = 1_000;

export interface PortOptions {
  /** Undefined: all addresses of this machine. */
  readonly host: string | undefined;
  /** 0: a free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly table: CallTable;
  /** What is there, told to who connects: a member, a storage node. */
  readonly name: string;
  /** What who connects has to show; undefined: nothing. */
  readonly token: string | undefined;
  /** One more is closed at once. */
  readonly connectionsMax: number;
  /** Of TLS. Default: plain TCP. */
  readonly server?: Server | undefined;
}

/** A port that speaks the wire protocol and nothing else, and offers one table of calls to who shows its token. */
export class ServedPort {
  /** The one that was bound. */
  readonly port: number;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #sockets = new Set<Duplex>();
  readonly #connections: ServedConnections;
  #closed: Promise<void> | null = null;

  private constructor(server: Server, options: PortOptions) {
    const { clock, table, name, token, connectionsMax } = options;
    this.#server = server;
    this.#clock = clock;
    this.port = (server.address() as AddressInfo).port;
    this.#connections = new ServedConnections({
      clock,
      table,
      raw: false,
      server: `waymark ${name}`,
      admit: (hello) => admit(hello, token, name),
    });
    const ready = options.server === undefined ? 'connection' : 'secureConnection';
    server.on(ready, (socket: Duplex) => {
      // A reset is no event of note.
      socket.on('error', () => socket.destroy());
      if (this.#sockets.size >= connectionsMax || this.#closed !== null) {
        return void socket.destroy();
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.#connections.serve(socket);
    });
  }

  /** @throws {WaymarkError} `taken` when another process has the port, `invalid` for what cannot be listened on */
  static async open(options: PortOptions): Promise<ServedPort> {
    const { host, port, server = createServer() } = options;
    const bindTo = host?.replace(/^\[|\]$/g, '');
    await startListening(server, bindTo === undefined ? { port } : { host: bindTo, port });
    return new ServedPort(server, options);
  }

  /** Answers what is under way, and resolves when the port is free again. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const free = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What was answered in this turn is written in it.
    await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    const disarm = this.#clock.after(goodbyeMs, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await this.#connections.drain(goodbyeMs);
    await free;
    disarm();
  }
}

/** @throws {WaymarkError} `unauthenticated` */
function admit({ token = '' }: Hello, wanted: string | undefined, name: string): void {
  if (wanted === undefined || timingSafeEqual(digest(token), digest(wanted))) return;
  const why = `this ${name} asks for a token: bring the one that its group shares`;
  throw new WaymarkError('unauthenticated', why);
}

/** Of equal length, whatever was sent. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
