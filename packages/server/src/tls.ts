import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { WaymarkError } from 'waymark/engine';

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
  const cert = await pem(options.cert, 'CERTIFICATE');
  const key = await pem(options.key, 'PRIVATE KEY');
  const ca = clientCa === undefined ? undefined : await pem(clientCa, 'CERTIFICATE');
  const required = ca !== undefined && clientCert === 'required';
  let server: Server;
  try {
    server = createServer({
      cert,
      key,
      ca,
      requestCert: ca !== undefined,
      rejectUnauthorized: required,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: events.handshakeMs,
    });
  } catch (error) {
    const files = [options.cert, options.key, clientCa].filter((file) => file !== undefined);
    const text = `${files.join(', ')}: ${(error as Error).message}`;
    throw new WaymarkError('invalid', `no TLS with ${text}`, {}, error);
  }
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
  return { accept: (socket) => void server.emit('connection', socket), only };
}

/** It has shown a certificate that none of the authorities stands for. */
function isStranger(socket: TLSSocket): boolean {
  return !socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0;
}

/** @throws {WaymarkError} `invalid` */
export async function pem(file: string, what: 'CERTIFICATE' | 'PRIVATE KEY'): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new WaymarkError('invalid', `TLS: ${(error as Error).message}`, { file }, error);
  }
  if (bytes.includes(`${what}-----`)) return bytes;
  throw new WaymarkError('invalid', `TLS: ${file} has no ${what.toLowerCase()} as PEM`, { file });
}
