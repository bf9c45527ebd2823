import type { Duplex } from 'node:stream';
import { systemClock } from 'waymark/engine';
import { firstBytes } from 'waymark/wire';
import type { WebSocket } from 'ws';
import { ChangeCache } from './change-cache.js';
import { FlushQueue } from './flush-queue.js';
import { ServedConnection } from './served-connection.js';
import type { ServeOptions } from './socket-options.js';
import { overDuplex, overWebSocket } from './stream.js';

export type SocketFaceOptions = Omit<ServeOptions, 'changes' | 'flushes' | 'clock'> &
  Partial<Pick<ServeOptions, 'clock'>>;

/** The binary protocol of one server, with all its connections. */
export interface SocketFace {
  /** Whether a connection that begins so speaks it; undefined when more bytes are needed. */
  speaks(bytes: Uint8Array): boolean | undefined;
  /** Serves a socket, the preface still to be read. */
  serve(socket: Duplex): ServedConnection;
  /** Serves an upgraded WebSocket, whose messages carry the same frames without the preface. */
  serveWebSocket(socket: WebSocket): ServedConnection;
  readonly connections: number;
  /** Tells all clients to connect elsewhere, answers what is under way, and ends within `graceMs` (default 5 000). */
  drain(graceMs?: number): Promise<void>;
}

export function createSocketFace(options: SocketFaceOptions): SocketFace {
  const { clock = systemClock } = options;
  const changes = new ChangeCache(clock);
  const shared: ServeOptions = { ...options, clock, changes, flushes: new FlushQueue() };
  const connections = new Set<ServedConnection>();
  const begin = (connection: ServedConnection): ServedConnection => {
    connections.add(connection);
    void connection.closed.then(() => connections.delete(connection));
    return connection;
  };
  return {
    speaks(bytes) {
      const told = firstBytes(bytes);
      return told === 'more' ? undefined : told === 'waymark';
    },
    serve(socket) {
      const connection = new ServedConnection(shared, { prefaced: true });
      connection.start(overDuplex(socket, connection));
      return begin(connection);
    },
    serveWebSocket(socket) {
      const connection = new ServedConnection(shared, { prefaced: false });
      connection.start(overWebSocket(socket, connection));
      return begin(connection);
    },
    get connections() {
      return connections.size;
    },
    async drain(graceMs = 5_000) {
      await Promise.all([...connections].map((connection) => connection.drain(graceMs)));
    },
  };
}
