import { lookup as lookupAddresses } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { DeliveryFailure } from '../endpoints/endpoint.js';
import type { Dialer, DialTo } from '../endpoints/kit/dialer.js';

/** Reaches every address: for tests of drivers, never for a server. @param trust.ca  PEM of whom it trusts; default: as Node does */
export function plainDialer(trust: { readonly ca?: string | undefined } = {}): Dialer {
  const resolve: Dialer['resolve'] = async (host, signal) => {
    signal.throwIfAborted();
    const bare = host.replace(/^\[|\]$/g, '');
    const { address, family } = await lookup(bare);
    signal.throwIfAborted();
    return { address, family: family === 6 ? 6 : 4 };
  };
  return {
    resolve,
    connect: async (to, signal) => {
      const { address } = await resolve(to.host, signal);
      const socket = await connected(connect(to.port, address), 'connect', to, signal);
      if (to.tls === undefined) return socket;
      const { servername, ca = trust.ca } = to.tls;
      const named = isIP(servername) === 0 ? { servername } : {};
      const secured: TLSSocket = connectTls({ socket, ...named, ...(ca !== undefined && { ca }) });
      return await connected(secured, 'secureConnect', to, signal);
    },
    lookup: lookupAddresses,
    allows: () => true,
  };
}

async function connected<S extends Socket>(
  socket: S,
  event: string,
  to: DialTo,
  signal: AbortSignal,
): Promise<S> {
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (cause) {
    socket.destroy();
    signal.throwIfAborted();
    throw new DeliveryFailure('again', `no connection to ${to.host}:${to.port}`, { cause });
  }
}
