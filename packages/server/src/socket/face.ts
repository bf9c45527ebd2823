import type { Duplex } from 'node:stream';
import { type Engine, type Host, systemClock, WaymarkError } from 'waymark/engine';
import {
  firstBytes,
  type ServedConnection,
  ServedConnections,
  type ServedStream,
  type ServeOptions,
} from 'waymark/wire';
import type { WebSocket } from 'ws';
import type { Access } from '../access/access.js';
import { Caller, type Shown } from '../access/caller.js';
import { guardEngine } from '../access/guarded-engine.js';
import { guardHost } from '../access/guarded-host.js';
import { locksUnder } from '../access/user-claims.js';
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
  readonly spend?: ((socket: Duplex, token?: string) => WaymarkError | null) | undefined;
  /** The raw engine, for those with the engine right. Absent: `denied`. */
  readonly engine?: Engine | undefined;
  /** Who may do what. Absent: everyone may do everything. */
  readonly access?: Access | undefined;
};

/** What came with a connection before its first message. */
export interface Brought extends Shown {
  readonly from: string;
}

/** What a client has shown by now. */
interface Greeting {
  token: string | undefined;
}

/** The binary protocol of one server, with all its connections. */
export interface SocketFace {
  /** Whether a connection that begins so speaks it; undefined when more bytes are needed. */
  speaks(bytes: Uint8Array): boolean | undefined;
  /** Serves a socket, the preface still to be read. */
  serve(socket: Duplex, brought?: Brought): ServedConnection;
  /** Serves an upgraded WebSocket, whose messages carry the same frames without the preface. */
  serveWebSocket(socket: WebSocket, under: Duplex, brought?: Brought): ServedConnection;
  readonly connections: number;
  /** Tells all clients to connect elsewhere, answers what is under way, and ends within `graceMs` (default 5 000). */
  drain(graceMs?: number): Promise<void>;
}

export function createSocketFace(options: SocketFaceOptions): SocketFace {
  const { host, engine, access, clock = systemClock, spend, ...rest } = options;
  const behind = host ?? engine;
  const connections = new ServedConnections({
    ...rest,
    clock,
    table: callTable(host, engine),
    raw: engine !== undefined,
    status: behind && (() => behind.status()),
    locksUnder: host && ((lease) => locksUnder(host, lease)),
  });
  const spendOf = (socket: Duplex, greeting: Greeting): (() => WaymarkError | null) | undefined =>
    spend && (() => spend(socket, greeting.token));
  const admitting = (
    brought: Brought | undefined,
    greeting: Greeting,
    connection: () => ServedConnection,
  ): ServeOptions['admit'] =>
    access === undefined || host === undefined
      ? rest.admit
      : ({ token }) => {
          greeting.token = token;
          const { from = '', ...shown } = brought ?? {};
          const all = { ...shown, ...(token !== undefined && { token }) };
          const caller = new Caller(access, all, { face: 'binary', from });
          const off = !access.on;
          const check = (): void => {
            caller.authenticate();
            if (off && access.on) throw new WaymarkError('unavailable', 'access was switched on');
          };
          check();
          const served = connection();
          void served.closed.then(caller.whileAllowed(check, (error) => served.refuse(error)));
          // Nothing stands in its way, and the table of all is its own; once access is on, it is to come back.
          if (off) return undefined;
          const raw = engine !== undefined && caller.unlimited;
          const guarded = engine && guardEngine(engine, caller);
          return { table: callTable(guardHost(host, caller), guarded), raw };
        };
  return {
    speaks(bytes) {
      const told = firstBytes(bytes);
      return told === 'more' ? undefined : told === 'waymark';
    },
    serve(socket, brought) {
      const greeting: Greeting = { token: undefined };
      const admit = admitting(brought, greeting, () => served);
      const spends = spendOf(socket, greeting);
      const served = connections.serve(socket, { spend: spends, admit });
      return served;
    },
    serveWebSocket(socket, under, brought) {
      const greeting: Greeting = { token: undefined };
      const admit = admitting(brought, greeting, () => served);
      const spends = spendOf(under, greeting);
      const over = (connection: ServedConnection): ServedStream =>
        overWebSocket(socket, connection);
      const served = connections.begin(false, over, { spend: spends, admit });
      return served;
    },
    get connections() {
      return connections.size;
    },
    drain: (graceMs) => connections.drain(graceMs),
  };
}
