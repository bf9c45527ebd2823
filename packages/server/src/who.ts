import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** The machine at the other end; undefined for a Unix socket. */
export function addressOf(socket: Duplex): string | undefined {
  return (socket as Partial<Socket>).remoteAddress;
}
