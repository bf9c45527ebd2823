import { WaymarkError } from '../core/errors.js';
import type { Transport, TransportEvents } from '../engines/remote/transport.js';
import { overWebSocket } from '../engines/remote/web-socket.js';

/**
 * The way to a server from a page: a WebSocket, in the place of engines/remote/transport.ts. `https://host` is the server that Node reaches by
 * that name, on the same port.
 *
 * @throws {WaymarkError} `invalid` for a URL no server can be reached by
 */
export async function openTransport(url: string, events: TransportEvents): Promise<Transport> {
  if (!URL.canParse(url)) throw new WaymarkError('invalid', `'${url}' is no URL of a server`);
  const target = new URL(url);
  if (target.search !== '')
    throw new WaymarkError('invalid', 'a page takes certificates from its browser, not from files');
  if (/^https?:$/.test(target.protocol)) {
    target.port ||= '7420';
    target.protocol = target.protocol === 'https:' ? 'wss:' : 'ws:';
  }
  return overWebSocket(target, events, (href) => new WebSocket(href));
}
