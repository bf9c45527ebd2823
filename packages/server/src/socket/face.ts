import type { Duplex } from 'node:stream';
import { type Engine, type Host, systemClock, type WaymarkError } from 'waymark/engine';
import {
  firstBytes,
  type ServedConnection,
  ServedConnections,
  type ServeOptions,
} from 'waymark/wire';
import type { WebSocket } from 'ws';
import { callTable } from './calls.js';
import { overWebSocket } from './web-socket-stream.js';

export type SocketFaceOptions = Partial<
  Pick<
    ServeOptions,
    | 'clock'
    | 'server'
    | 'limits'
    | 'faulted'
    | 'admit'
    | 'admission'
    | 'called'
    | 'failed'
    | 'traced'
  >
> & {
  /** Namespaces, guard and recipes. Absent: those verbs are refused. */
  readonly host?: Host | undefined;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex) => WaymarkError | null) | undefined;
  /** The raw engine, for those with the engine right. Absent: `denied`. */
  readonly engine?: Engine | undefined;
};

/** The binary protocol of one server, with all its connections. */
export interface SocketFace {
  /** Whether a connection that begins so speaks it; undefined when more bytes are needed. */
  speaks(bytes: Uint8Array): boolean | undefined;
  /** Serves a socket, the preface still to be read. */
  serve(socket: Duplex): ServedConnection;
  /** Serves an upgraded WebSocket, whose messages carry the same frames without the preface. */
  serveWebSocket(socket: WebSocket, under: Duplex): ServedConnection;
  readonly connections: number;
  /** Tells all clients to connect elsewhere, answers what is under way, and ends within `graceMs` (default 5 000). */
  drain(graceMs?: number): Promise<void>;
}

export function createSocketFace(options: SocketFaceOptions): SocketFace {
  const { host, engine, clock = systemClock, spend, ...rest } = options;
  const behind = host ?? engine;
  const connections = new ServedConnections({
    ...rest,
    clock,
    table: callTable(host, engine),
    raw: engine !== undefined,
    status: behind && (() => behind.status()),
  });
  const spendOf = (socket: Duplex): (() => WaymarkError | null) | undefined =>
    spend && (() => spend(socket));
  return {
    speaks(bytes) {
      const told = firstBytes(bytes);
      return told === 'more' ? undefined : told === 'waymark';
    },
    serve: (socket) => connections.serve(socket, spendOf(socket)),
    serveWebSocket: (socket, under) =>
      connections.begin(false, (connection) => overWebSocket(socket, connection), spendOf(under)),
    get connections() {
      return connections.size;
    },
    drain: (graceMs) => connections.drain(graceMs),
  };
}
