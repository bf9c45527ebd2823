import { type Clock, connectHost, type LocalHostOptions, type Random } from 'waymark/engine';
import type { Access } from './access/access.js';
import type { TlsOptions } from './tls.js';

/** How this server reaches others over the same engine. */
export function reachServers(
  tls: TlsOptions | undefined,
  {
    clock,
    random,
    access,
  }: { readonly clock: Clock; readonly random: Random; readonly access: Access },
): NonNullable<LocalHostOptions['reach']> {
  return async (address, { closed, signal }) =>
    await connectHost(credentialled(address, tls), {
      token: await access.peerToken(),
      clock,
      random,
      client: 'a waymark server',
      connectTimeoutMs: 5_000,
      reconnect: false,
      closed,
      signal,
    });
}

/** To other servers this one shows the certificate it has, and takes theirs from the authority that clients' come from. */
function credentialled(address: string, tls: TlsOptions | undefined): string {
  if (tls?.clientCa === undefined || !address.startsWith('https:')) return address;
  const { cert, key, clientCa: ca } = tls;
  return `${address}?${new URLSearchParams({ ca, cert, key })}`;
}
