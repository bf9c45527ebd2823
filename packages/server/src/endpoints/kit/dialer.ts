import type { Socket } from 'node:net';
import type { LookupFunction } from 'node:net';

/** A place that was looked up and found allowed: connect to this address, and no other. */
export interface DialedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/**
 * Reaches other machines, and refuses to reach what nobody allowed: see docs/guide/watchers.md. Looks every name up on every try, so what a
 * name means later does not matter, and takes literals as strictly as names.
 */
export interface Dialer {
  /**
   * Looks a host up, name or literal, with or without brackets, and picks an allowed address.
   *
   * @throws {DeliveryFailure} `again` when it cannot be looked up, or any of its addresses is not allowed
   */
  resolve(host: string, signal: AbortSignal): Promise<DialedAddress>;
  /** Resolves and connects; `tls` goes on to TLS for `servername`. Refused and failed connections are a DeliveryFailure. */
  connect(to: DialTo, signal: AbortSignal): Promise<Socket>;
  /** For clients that take a `lookup`. It never sees literals: check them with `allows` first. */
  readonly lookup: LookupFunction;
  /** Whether a literal address may be reached. */
  allows(address: string): boolean;
}

export interface DialTo {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly servername: string; readonly ca?: string | undefined } | undefined;
}
