import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { limits, type WaymarkError } from 'waymark';
import { type Clock, errorTable, pause } from 'waymark/engine';
import { chosenProtocol, shownBy } from '../access/shown.js';
import { endable } from '../access/standing.js';
import type { WorkLimits } from '../admission.js';
import type { Brought } from '../socket/face.js';
import type { Callers } from './callers.js';
import { namespaceFrom, pathFrom, rawPath } from './inputs.js';
import { askedBy, checkOrigin } from './origin.js';
import { problemOf, toWaymarkError } from './problem.js';
import { repeat, type WatchParts } from './streams.js';
import { callOf, eventJson, openWatch, type OpenWatch, resumeReader } from './watch.js';

export interface UpgradeParts extends WatchParts {
  readonly hosts: ReadonlySet<string> | null;
  readonly callers: Callers;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend: WorkLimits['spend'];
  /** Serves the binary protocol over `GET /v1/socket`. */
  readonly binary: (socket: WebSocket, under: Duplex, brought: Brought) => void;
}

const messageBytesMax = limits.requestBytesMax + 262_144;

/** Answers upgrades: `/v1/socket` carries the binary protocol, a watch path JSON events. Nothing in it may throw. */
export function upgrader(
  parts: UpgradeParts,
): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    handleProtocols: chosenProtocol,
  });
  return (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    answer(server, parts, request, socket, head).catch((error: unknown) => refuse(socket, error));
  };
}

async function answer(
  server: WebSocketServer,
  parts: UpgradeParts,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  checkOrigin(askedBy(request), parts.hosts);
  const url = request.url ?? '/';
  const path = rawPath(url);
  const upgrade = (serve: (ws: WebSocket) => void): void =>
    server.handleUpgrade(request, socket, head, serve);
  if (path === '/v1/socket') {
    return upgrade((ws) => parts.binary(ws, socket, shownBy(request)));
  }
  if (!/^\/v1\/ns\/[^/]+\/watch(\/|$)/.test(path))
    return refuseStatus(socket, 404, 'no WebSocket here');
  const spend = (): WaymarkError | null =>
    parts.spend?.(socket, shownBy(request).token ?? undefined) ?? null;
  const tooOften = spend();
  if (tooOften !== null) throw tooOften;
  const { space, caller } = parts.callers.groundOf(request, 'websocket');
  caller.authenticate({ action: 'watch' });
  const gone = new AbortController();
  const ending = endable(parts.stopping);
  const { signal } = ending;
  socket.once('close', () => {
    gone.abort();
    ending.leave();
    ending.end(gone.signal.reason);
  });
  const leave = parts.streams.enter('websocket');
  socket.once('close', leave);
  try {
    const params = new URLSearchParams(url.slice(path.length));
    const namespace = namespaceFrom(url);
    const cursor = params.get('cursor');
    if (cursor !== null) caller.demandPath(['watch'], namespace, '/');
    const resumed = await resumeReader(parts.cursors, namespace, params, undefined);
    const call = { ...callOf(params, resumed), signal };
    const watch = await openWatch(space, namespace, pathFrom(url), call);
    if (gone.signal.aborted) return;
    upgrade((ws) => {
      if (cursor !== null) {
        const move = async (id: string): Promise<unknown> => {
          await ownTurn(parts.clock, spend, gone.signal);
          caller.demandPath(['watch'], namespace, '/');
          return await parts.cursors.move(namespace, cursor, id);
        };
        moveByAcks(ws, move);
      }
      void serveWatch(ws, watch, parts, gone.signal);
    });
  } catch (error) {
    leave();
    throw error;
  }
}

/** Waits until one more call may be made: what is acknowledged meanwhile is one. */
async function ownTurn(
  clock: Clock,
  spend: () => WaymarkError | null,
  signal: AbortSignal,
): Promise<void> {
  for (let late = spend(); late !== null; late = spend()) {
    await pause(clock, late.facts.retryAfterMs ?? 1_000, signal);
    signal.throwIfAborted();
  }
}

/** A client that resumes by a cursor says what it has: `{"ack":"ID"}`. What it says wrong ends the connection, and is told. */
function moveByAcks(ws: WebSocket, move: (id: string) => Promise<unknown>): void {
  let latest: Buffer | null = null;
  let moving = false;
  const moveOn = async (): Promise<void> => {
    moving = true;
    try {
      // Several that come while one is kept are one: the last.
      for (let ack = latest; ack !== null; ack = latest) {
        latest = null;
        await move(ackIn(ack));
      }
      moving = false;
    } catch (error) {
      if (ws.readyState === ws.OPEN) ws.send(problemOf(toWaymarkError(error)));
      ws.close(1008);
    }
  };
  ws.on('message', (data: Buffer) => {
    latest = data;
    if (!moving) void moveOn();
  });
}

/** Empty for what is no ack: that is no id either. */
function ackIn(data: Buffer): string {
  try {
    const { ack } = JSON.parse(data.toString()) as { ack?: unknown };
    return typeof ack === 'string' ? ack : '';
  } catch {
    return '';
  }
}

/** One JSON message per event, and `{ resume, id }` where a whole revision ends. */
async function serveWatch(
  ws: WebSocket,
  watch: OpenWatch,
  parts: WatchParts,
  gone: AbortSignal,
): Promise<void> {
  // Errors are followed by 'close'.
  ws.on('error', () => {});
  const still = repeat(parts.clock, parts.heartbeatMs, () => ws.ping());
  try {
    for await (const { events, resume } of watch.groups) {
      for (const [i, event] of events.entries()) {
        // Each thousandth, and the last, waits until it is written: a slow reader holds the cursor up.
        const last = i === events.length - 1 && resume === undefined;
        await send(ws, JSON.stringify(eventJson(event)), last || i % 1_000 === 999);
      }
      if (resume === undefined) continue;
      await send(ws, JSON.stringify({ resume, id: `${resume}-${watch.identity}` }), true);
    }
    ws.close(1000);
  } catch (error) {
    if (parts.stopping.aborted) return ws.close(1012, 'the server stops, come back');
    if (gone.aborted || ws.readyState !== ws.OPEN) return ws.terminate();
    ws.send(problemOf(toWaymarkError(error)));
    ws.close(1011);
  } finally {
    still();
  }
}

function send(ws: WebSocket, text: string, wait: boolean): Promise<void> {
  if (!wait && ws.bufferedAmount < messageBytesMax) return (ws.send(text), Promise.resolve());
  return new Promise((resolve, reject) =>
    ws.send(text, (error) => (error == null ? resolve() : reject(error))),
  );
}

function refuse(socket: Duplex, error: unknown): void {
  const told = toWaymarkError(error);
  refuseStatus(socket, errorTable[told.code].http, problemOf(told));
}

function refuseStatus(socket: Duplex, status: number, body: string): void {
  if (socket.destroyed) return;
  const type = body.startsWith('{') ? 'application/problem+json' : 'text/plain';
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: ${type}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
