import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WaymarkError } from 'waymark';

/** What a request tells of where it comes from, and what it wants. */
export interface Asked {
  /** The name the client knows this server by, with its port; empty when it does not tell. */
  readonly host: string;
  readonly origin: string | undefined;
  /** What a browser tells of where a request comes from, where it tells no origin: `Sec-Fetch-Site`. */
  readonly site: string | undefined;
  /** It carries `X-Waymark-CSRF`, which no form and no page elsewhere can have a browser send; or it cannot, as a WebSocket. */
  readonly marked: boolean;
  /** It changes nothing, and gives nothing to a page of another origin. */
  readonly reads: boolean;
  /** It came by TLS, whose certificate has told the browser that the name is this server's. */
  readonly secure: boolean;
}

/**
 * Two things a web page elsewhere could try against a server that has no passwords yet. A name of its own that resolves to
 * this machine (DNS rebinding): loopback servers answer to loopback names alone. And a request from its own origin (forgery, or a
 * WebSocket, which browsers open across origins): a page may write only to the server it came from, and says so by a header of its own.
 *
 * @param hosts  names the server answers for; null for any
 * @throws {WaymarkError} `denied`
 */
export function checkOrigin(asked: Asked, hosts: ReadonlySet<string> | null): void {
  const { host, origin, site, reads, secure, marked } = asked;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  const any = hosts === null || secure || name === '' || /^127(\.\d{1,3}){3}$/.test(name);
  if (!any && !hosts.has(name)) {
    throw new WaymarkError(
      'denied',
      `this server answers for ${[...hosts].join(', ')}, not for another name`,
    );
  }
  // Who is no browser tells neither, and does nothing that somebody else's page has asked for.
  if (reads || (origin === undefined && site === undefined)) return;
  if (origin !== undefined && !sameHost(origin, host))
    throw new WaymarkError('denied', 'a page of another origin may not write here');
  if (!marked) throw new WaymarkError('denied', 'a page writes with the header X-Waymark-CSRF: 1');
}

export function askedBy({ method, headers, socket }: IncomingMessage): Asked {
  const upgrades = headers.upgrade !== undefined;
  const site = headers['sec-fetch-site'];
  return {
    host: headers.host ?? '',
    origin: headers.origin,
    site: typeof site === 'string' ? site : undefined,
    reads: (method === 'GET' || method === 'HEAD') && !upgrades,
    secure: isSecure(socket),
    marked: upgrades || headers['x-waymark-csrf'] !== undefined,
  };
}

export function isSecure(socket: Duplex): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true;
}

/** Names of loopback: what a server answers for that only its own machine reaches. */
export const loopbackNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

function sameHost(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
