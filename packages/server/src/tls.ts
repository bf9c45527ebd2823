import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { WaymarkError } from 'waymark/engine';
import { TlsFiles, tlsVersionMin } from './tls-files.js';

/** TLS on the port that speaks everything else. */
export interface TlsOptions {
  /** PEM file: the server's certificate, and those between it and its authority. */
  readonly cert: string;
  /** PEM file of its key, without a passphrase. */
  readonly key: string;
  /** PEM file: the authorities of clients' certificates, which are asked for then. */
  readonly clientCa?: string | undefined;
  /** `required` (default): who comes without one is refused; `wanted`: only who comes with one of another authority. */
  readonly clientCert?: ClientCert | undefined;
  /** Refuse connections in plain text, but for those of this machine. Default false. */
  readonly only?: boolean | undefined;
}

export type ClientCert = 'required' | 'wanted';

export interface Tls {
  /** The connection begins with a handshake, which is in the socket still; `secured` is called once it is done. */
  accept(socket: Socket): void;
  readonly only: boolean;
  /**
   * Reads the files again. Handshakes from then on are by what stands in them; connections that are open go on.
   *
   * @returns whether there was anything new
   * @throws {WaymarkError} `invalid` as `openTls` does: what was served is served still
   */
  reload(): Promise<boolean>;
}

export interface TlsEvents {
  secured(socket: TLSSocket): void;
  /** 'handshake', 'certificate' */
  refused(reason: string): void;
  readonly handshakeMs: number;
}

/** Whether nobody gets in from elsewhere who has no certificate. */
export function isMutual(options: TlsOptions | undefined): boolean {
  if (options === undefined || options.clientCa === undefined) return false;
  return options.only === true && options.clientCert !== 'wanted';
}

/** @throws {WaymarkError} `invalid` for files that cannot be read, are no PEM, or do not belong together */
export async function openTls(options: TlsOptions, events: TlsEvents): Promise<Tls> {
  const { clientCa, clientCert = 'required', only = false } = options;
  if (clientCa === undefined && options.clientCert !== undefined) {
    throw new WaymarkError(
      'invalid',
      'client certificates are checked by an authority: name its file, too',
    );
  }
  const files = await TlsFiles.read({ ...options, ca: clientCa });
  const required = clientCa !== undefined && clientCert === 'required';
  const server: Server = files.checked(() =>
    createServer({
      ...files.contents,
      requestCert: clientCa !== undefined,
      rejectUnauthorized: required,
      minVersion: tlsVersionMin,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: events.handshakeMs,
    }),
  );
  server.on('secureConnection', (socket) => {
    if (isStranger(socket)) {
      events.refused('certificate');
      socket.destroy();
    } else events.secured(socket);
  });
  server.on('tlsClientError', (_error, socket) => {
    events.refused('handshake');
    socket.destroy();
  });
  return {
    accept: (socket) => void server.emit('connection', socket),
    only,
    reload: async () => await files.renew(server),
  };
}

/** It has shown a certificate that none of the authorities stands for. */
function isStranger(socket: TLSSocket): boolean {
  return !socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0;
}
