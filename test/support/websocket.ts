import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface WebSocketReceiver extends AsyncDisposable {
  readonly port: number;
  /** Headers and path of every upgrade. */
  readonly upgrades: readonly IncomingMessage[];
  readonly sockets: ReadonlySet<WebSocket>;
  /** Breaks all connections and listens no more. */
  stop(): Promise<void>;
  /** At the same port. */
  start(): Promise<void>;
}

/** A server of the package ws on loopback. @param serve  what is done with each socket */
export async function startWebSocketReceiver(
  serve: (socket: WebSocket) => void,
  {
    tls,
    refuse,
  }: {
    readonly tls?: { readonly key: string; readonly cert: string };
    /** An answer to the upgrade instead of a WebSocket, as `410 Gone`. */
    readonly refuse?: () => string | null;
  } = {},
): Promise<WebSocketReceiver> {
  const upgrades: IncomingMessage[] = [];
  const sockets = new Set<WebSocket>();
  const upgrade = new WebSocketServer({
    noServer: true,
    maxPayload: 1_572_864,
    perMessageDeflate: false,
  });
  let server: Server;
  let port = 0;
  const start = async (): Promise<void> => {
    server = tls === undefined ? createServer() : createTlsServer(tls);
    server.on('upgrade', (request, socket, head) => {
      upgrades.push(request);
      const answer = refuse?.() ?? null;
      if (answer !== null)
        return void socket.end(`HTTP/1.1 ${answer}\r\nContent-Length: 0\r\n\r\n`);
      upgrade.handleUpgrade(request, socket, head, (ws) => {
        sockets.add(ws);
        ws.on('close', () => sockets.delete(ws));
        ws.on('error', () => {});
        serve(ws);
      });
    });
    await once(server.listen(port, '127.0.0.1'), 'listening');
    ({ port } = server.address() as AddressInfo);
  };
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.terminate();
    server.closeAllConnections();
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
  await start();
  return {
    get port() {
      return port;
    },
    upgrades,
    sockets,
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}
