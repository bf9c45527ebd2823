import { createServer, type Server } from 'node:tls';
import { ownAddress, parseListen } from 'waymark/engine';
import { pem } from '../tls.js';
import type { StashNodeOptions } from './node-service.js';

/** Where a node is reached that listens on a port. */
export function addressOf({ listen, advertise, tls }: StashNodeOptions, bound: number): string {
  const { host } = parseListen(listen ?? '127.0.0.1:0');
  const at = advertise ?? `${host ?? ownAddress()}:${bound}`;
  return tls === undefined ? at : `tls://${at}`;
}

/** What it listens by where it asks for TLS. */
export async function tlsServer(tls: StashNodeOptions['tls']): Promise<Server | undefined> {
  if (tls === undefined) return undefined;
  const cert = await pem(tls.cert, 'CERTIFICATE');
  const key = await pem(tls.key, 'PRIVATE KEY');
  const server = createServer({ cert, key, minVersion: 'TLSv1.2', handshakeTimeout: 10_000 });
  return server.on('tlsClientError', (_error, socket) => socket.destroy());
}
