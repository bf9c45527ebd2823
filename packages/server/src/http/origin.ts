import type { IncomingMessage } from 'node:http';
import { WaymarkError } from 'waymark';

/**
 * Two things a web page elsewhere could try against a server that has no passwords yet. A name of its own that resolves to
 * this machine (DNS rebinding): loopback servers answer to loopback names alone. And a request from its own origin (forgery, or a
 * WebSocket, which browsers open across origins): a page may write only to the server it came from.
 *
 * @param hosts  names the server answers for; null for any
 * @throws {WaymarkError} `denied`
 */
export function checkOrigin(request: IncomingMessage, hosts: ReadonlySet<string> | null): void {
  const host = request.headers.host ?? '';
  const name = host.replace(/:\d*$/, '').toLowerCase();
  if (hosts !== null && name !== '' && !hosts.has(name) && !/^127(\.\d{1,3}){3}$/.test(name)) {
    throw new WaymarkError(
      'denied',
      `this server answers for ${[...hosts].join(', ')}, not for another name`,
    );
  }
  const { origin } = request.headers;
  const reads =
    (request.method === 'GET' || request.method === 'HEAD') &&
    request.headers.upgrade === undefined;
  if (origin === undefined || reads || sameHost(origin, host)) return;
  throw new WaymarkError('denied', 'a page of another origin may not write here');
}

function sameHost(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
