import { createServer, type Server } from 'node:tls';
import { type Clock, ownAddress, parseListen } from 'waymark/engine';
import { TlsFiles, tlsVersionMin } from '../tls-files.js';
import { TlsReload } from '../tls-reload.js';
import type { StashNodeOptions } from './node-service.js';

/** Where a node is reached that listens on a port. */
export function addressOf({ listen, advertise, tls }: StashNodeOptions, bound: number): string {
  const { host } = parseListen(listen ?? '127.0.0.1:0');
  const at = advertise ?? `${host ?? ownAddress()}:${bound}`;
  return tls === undefined ? at : `tls://${at}`;
}

/** What it listens by where it asks for TLS; new certificates are served as they come. */
export async function tlsServer(
  tls: StashNodeOptions['tls'],
  {
    clock,
    told,
  }: { readonly clock: Clock; readonly told?: ((message: string) => void) | undefined },
): Promise<Server | undefined> {
  if (tls === undefined) return undefined;
  const files = await TlsFiles.read(tls);
  const options = { minVersion: tlsVersionMin, handshakeTimeout: 10_000 } as const;
  const server = files.checked(() => createServer({ ...files.contents, ...options }));
  server.once('listening', () => {
    const reload = new TlsReload(() => files.renew(server), {
      clock,
      told: (message, error) =>
        told?.(error === undefined ? message : `${message}: ${(error as Error).message}`),
    });
    server.once('close', () => reload.stop());
  });
  return server.on('tlsClientError', (_error, socket) => socket.destroy());
}
