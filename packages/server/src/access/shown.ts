import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { certificateNames } from './certificate.js';
import type { Shown } from './caller.js';

/** What a browser may choose of an upgrade: it names the token among the protocols it speaks. */
const protocolStem = 'waymark.bearer.';

/** What came with a request of HTTP or an upgrade: see A2.4 in docs/spec/access.md. */
export function shownBy({ headers, socket }: IncomingMessage): Shown & { readonly from: string } {
  const { authorization } = headers;
  const offered = headers['sec-websocket-protocol']?.split(',').map((one) => one.trim()) ?? [];
  const named = offered.find((one) => one.startsWith(protocolStem))?.slice(protocolStem.length);
  const token = authorization?.replace(/^bearer +/i, '') ?? named;
  const certificate = certificateNames(socket) ?? undefined;
  return { token, certificate, from: socket.remoteAddress ?? '' };
}

/** What came with a connection that speaks no HTTP. */
export function broughtBy(socket: Socket): Shown & { readonly from: string } {
  const certificate = certificateNames(socket) ?? undefined;
  return { certificate, from: socket.remoteAddress ?? '' };
}

/** Never the one that names a token: the answer would tell it on. */
export function chosenProtocol(offered: ReadonlySet<string>): string | false {
  return [...offered].find((one) => !one.startsWith(protocolStem)) ?? false;
}
