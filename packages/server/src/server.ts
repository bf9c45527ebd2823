import type { Socket } from 'node:net';
import { createRequire } from 'node:module';
import { type Logger, pino } from 'pino';
import { WebSocketServer } from 'ws';
import { type Space, WaymarkError } from 'waymark';
import {
  createLocalHost,
  createSpace,
  type Engine,
  type Host,
  limits,
  openEngine,
  resolvePath,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { createApp } from './http/app.js';
import { watchOverWebSocket } from './http/watch.js';
import { beginsWith, type Face, listen, type Listener } from './listener.js';
import { Metrics } from './metrics.js';
import { createSocketFace, type SocketFace } from './socket/face.js';

export interface ServerOptions {
  /** `host:port` (port 0: a free one), `[ipv6]:port`, `unix:/path`. Default 127.0.0.1:7420. */
  readonly listen?: readonly string[] | undefined;
  /** `memory` or `file:DIR`. Default `file:./waymark-data`. */
  readonly engine?: string | undefined;
  /** Listen beyond loopback though there are no access rules. */
  readonly insecure?: boolean | undefined;
  /** Raw engine verbs and backups for clients. Default true on loopback and Unix sockets, else false. */
  readonly allowEngine?: boolean | undefined;
  readonly logLevel?: string | undefined;
  readonly connectionsMax?: number | undefined;
  readonly firstByteMs?: number | undefined;
  readonly headersMs?: number | undefined;
  readonly requestMs?: number | undefined;
}

export interface RunningServer {
  readonly addresses: readonly string[];
  /** Drains: new calls are refused, those under way finish, within 10 s. */
  close(): Promise<void>;
}

const drainMs = 8_000;
const version = (createRequire(import.meta.url)('../package.json') as { version: string }).version;
const methods = ['GET ', 'PUT ', 'POST ', 'HEAD ', 'DELETE ', 'PATCH ', 'OPTIONS '];

/** Starts a server: one engine, one port per address, every face on each. @throws {WaymarkError} `denied`, `taken`, `invalid`, `corrupt` */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const { listen: addresses = ['127.0.0.1:7420'], engine: url = 'file:./waymark-data', insecure = false } = options;
  const logger = pino({ level: options.logLevel ?? 'info' }, pino.destination({ dest: 2, sync: true }));
  const engine = await openEngine(url, { told: (message) => logger.info(message) });
  const host = createLocalHost(engine);
  const space = createSpace(host, { clock: systemClock, random: systemRandom, owner: 'http' });
  const allowEngine = options.allowEngine ?? !insecure;
  try {
    const parts = { engine, host, space, logger, allowEngine, options };
    const { faces, stop, listener } = await serve(parts, addresses, insecure);
    logger.info({ addresses: listener.addresses, engine: url, faces: faces.map((face) => face.name) }, 'serving');
    return {
      addresses: listener.addresses,
      async close() {
        await stop();
        await space.close();
        await engine[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await space.close();
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts {
  readonly engine: Engine;
  readonly host: Host;
  readonly space: Space;
  readonly logger: Logger;
  readonly allowEngine: boolean;
  readonly options: ServerOptions;
}

async function serve(
  parts: Parts,
  addresses: readonly string[],
  insecure: boolean,
): Promise<{ faces: Face[]; stop: () => Promise<void>; listener: Listener }> {
  const { host, space, engine, allowEngine, options } = parts;
  const metrics = new Metrics();
  let stopping = false;
  const app = await createApp({
    engine,
    host,
    space,
    metrics,
    logger: parts.logger,
    hosts: insecure ? null : new Set(['localhost', '127.0.0.1', '[::1]']),
    allowBackup: allowEngine,
    version,
    headersMs: options.headersMs ?? 10_000,
    requestMs: options.requestMs ?? 30_000,
    ready: () => !stopping,
  });
  const binary = createSocketFace({ host, engine: allowEngine ? engine : undefined, server: `waymark ${version}` });
  const upgrades = upgrader(parts, binary);
  app.server.on('upgrade', upgrades);
  // It never listens itself: this starts its bookkeeping of connections, and with it their timeouts.
  app.server.emit('listening');
  const faces: Face[] = [
    { name: 'binary', speaks: binary.speaks, serve: (socket) => binary.serve(socket) },
    { name: 'http', speaks: beginsWith(...methods), serve: (socket) => void app.server.emit('connection', socket) },
  ];
  const { connectionsMax = 10_000, firstByteMs = 10_000 } = options;
  const listener = await listen({ listen: addresses, insecure, connectionsMax, firstByteMs }, faces);
  describe(metrics, host, listener);
  const stop = async (): Promise<void> => {
    stopping = true;
    const late = AbortSignal.timeout(drainMs);
    await Promise.race([binary.drain(), aborted(late)]);
    app.server.closeIdleConnections();
    await Promise.race([listener.close(), aborted(late)]);
    app.server.closeAllConnections();
    await Promise.race([app.close(), aborted(late)]);
  };
  return { faces, stop, listener };
}

/** `GET /v1/socket` carries the binary protocol in WebSocket messages; a watch path carries JSON events. */
function upgrader(parts: Parts, binary: SocketFace): (request: import('node:http').IncomingMessage, socket: Socket, head: Buffer) => void {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: limits.requestBytesMax + 262_144 });
  return (request, socket, head) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const watch = /^\/v1\/ns\/([^/]+)\/watch(\/.*)?$/.exec(url.pathname);
    if (request.headers.upgrade?.toLowerCase() !== 'websocket' || (url.pathname !== '/v1/socket' && watch === null)) {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    server.handleUpgrade(request, socket, head, (ws) => {
      if (watch === null) {
        binary.serveWebSocket(ws);
        return;
      }
      const path = resolveOr(ws, decodeURIComponent(watch[2] ?? '/'));
      if (path === null) return;
      watchOverWebSocket(parts.space, ws, url, decodeURIComponent(watch[1] ?? ''), path).catch(() => ws.terminate());
    });
  };
}

function resolveOr(ws: { close(code: number, reason: string): void }, path: string): string | null {
  try {
    return resolvePath('/', path);
  } catch (error) {
    ws.close(1008, error instanceof WaymarkError ? error.code : 'invalid');
    return null;
  }
}

function describe(metrics: Metrics, host: Host, listener: Listener): void {
  metrics.gauge('waymark_connections', 'Open connections.', () => listener.connections());
  metrics.gauge('waymark_revision', 'The newest revision.', async () => (await host.status()).revision);
  metrics.gauge('waymark_compacted_revision', 'History below this is gone.', async () => (await host.status()).compacted);
  metrics.gauge('waymark_keys', 'Live keys.', async () => (await host.status()).keys);
  metrics.gauge('waymark_leases', 'Live leases.', async () => (await host.status()).leases);
  metrics.gauge('waymark_bytes', 'Bytes of live keys and values.', async () => (await host.status()).bytes);
  metrics.gauge('waymark_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
