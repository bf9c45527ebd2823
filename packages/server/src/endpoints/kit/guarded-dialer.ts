import { isIP, type LookupFunction, connect as connectPlain, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { callbackify } from 'node:util';
import { DeliveryFailure } from '../endpoint.js';
import { AddressRules } from './address-rules.js';
import type { DialedAddress, Dialer, DialTo } from './dialer.js';
import { canonicalHost } from './hosts.js';
import { createNameLookup, type NameLookup } from './name-lookup.js';
import { unlessAborted } from './unless-aborted.js';

const keepAliveMs = 30_000;

export interface DialerOptions {
  /** Networks that endpoints may be in beside the public ones, as `10.0.0.0/8`. */
  readonly allow: readonly string[];
  /** Default: the machine's hosts file, its name servers, then the machine itself. */
  readonly lookup?: NameLookup | undefined;
}

/**
 * The addresses that a name has are looked up once for each try, all of them are checked, and the connection goes to one of these: a name that
 * means something else a moment later (DNS rebinding) gains nothing. A name is refused as a whole when one of its addresses is.
 *
 * @throws {WaymarkError} `invalid` for what is no network
 */
export function createDialer({ allow, lookup = createNameLookup() }: DialerOptions): Dialer {
  const rules = new AddressRules(allow);
  const addressesOf = (host: string, signal?: AbortSignal): Promise<readonly DialedAddress[]> =>
    checkedAddresses({ rules, lookup }, host, signal);
  return {
    resolve: async (host, signal) => first(await addressesOf(host, signal)),
    connect: async (to, signal) => connectTo(to, await addressesOf(to.host, signal), signal),
    lookup: (hostname, options, done) => {
      const found = callbackify(() => addressesOf(hostname));
      found((error, addresses) => {
        if (error === null) answer(addresses, options, done, hostname);
        else done(error, []);
      });
    },
    allows: (address) => rules.allows(address),
  };
}

/** @returns at least one */
async function checkedAddresses(
  { rules, lookup }: { readonly rules: AddressRules; readonly lookup: NameLookup },
  written: string,
  signal: AbortSignal | undefined,
): Promise<readonly DialedAddress[]> {
  signal?.throwIfAborted();
  const host = canonicalHost(written);
  if (host === null) throw new DeliveryFailure('again', 'the endpoint names no host to connect to');
  const version = isIP(host);
  const addresses =
    version === 0
      ? await looked(lookup, host, signal)
      : [{ address: host, family: version as 4 | 6 }];
  if (addresses.length === 0) throw new DeliveryFailure('again', `${host} has no address`);
  if (addresses.every(({ address }) => rules.allows(address))) return addresses;
  throw new DeliveryFailure(
    'again',
    `${host} leads where endpoints may not go: a server started with --allow-endpoint-net CIDR allows them one more network`,
  );
}

async function looked(
  lookup: NameLookup,
  name: string,
  signal: AbortSignal | undefined,
): Promise<readonly DialedAddress[]> {
  try {
    const found = lookup(name);
    return await (signal === undefined ? found : unlessAborted(found, signal));
  } catch (error) {
    signal?.throwIfAborted();
    const told = `${name} cannot be looked up${codeOf(error)}`;
    throw new DeliveryFailure('again', told, { cause: error });
  }
}

function connectTo(
  to: DialTo,
  addresses: readonly DialedAddress[],
  signal: AbortSignal,
): Promise<Socket> {
  const { port, tls } = to;
  const options = {
    // A name that is none, so that Node asks for its addresses and is given those that were checked.
    host: 'checked',
    port,
    lookup: ((_name, wanted, done) => answer(addresses, wanted, done, to.host)) as LookupFunction,
    autoSelectFamily: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  };
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const socket =
      tls === undefined ? connectPlain(options) : connectTls({ ...options, ...identity(tls) });
    const settled = (): void => {
      signal.removeEventListener('abort', abort);
      socket.removeListener('error', failed);
    };
    const abort = (): void => {
      settled();
      socket.on('error', () => undefined).destroy();
      reject(signal.reason as Error);
    };
    const failed = (error: Error): void => {
      settled();
      socket.destroy();
      const what = tls === undefined ? 'cannot connect to' : 'cannot connect by TLS to';
      const text = `${what} ${to.host}:${port}${codeOf(error)}`;
      reject(new DeliveryFailure('again', text, { cause: error }));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', failed);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      settled();
      resolve(socket);
    });
  });
}

/** The certificate must be that of the name, or address, that was asked for. TLS itself takes no addresses for names. */
function identity({ servername, ca }: NonNullable<DialTo['tls']>) {
  return {
    servername: isIP(servername) === 0 ? servername : '',
    checkServerIdentity: (_host: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
      checkServerIdentity(servername, certificate),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** As dns.lookup answers. */
function answer(
  addresses: readonly DialedAddress[],
  options: Parameters<LookupFunction>[1],
  done: Parameters<LookupFunction>[2],
  host: string,
): void {
  const family = Number(String(options.family ?? 0).replace('IPv', ''));
  const fitting = addresses.filter((one) => family === 0 || one.family === family);
  const [best] = fitting;
  if (best === undefined) {
    return done(new DeliveryFailure('again', `${host} has no address of IPv${family}`), []);
  }
  if (options.all === true) done(null, [...fitting]);
  else done(null, best.address, best.family);
}

function first([address]: readonly DialedAddress[]): DialedAddress {
  return address as DialedAddress;
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? ` (${code})` : '';
}
