import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { WaymarkError } from '../core/errors.js';

export interface ListenAddress {
  /** Undefined: all addresses of this machine. */
  readonly host: string | undefined;
  /** 0: a free one. */
  readonly port: number;
}

const wildcards = new Set(['', '0.0.0.0', '[::]']);

/** @throws {WaymarkError} `invalid` unless it is `:port`, `host:port` or `[ipv6]:port` */
export function parseListen(text: string): ListenAddress {
  const match = /^(\[[0-9A-Fa-f:.]{2,45}\]|[\w.-]{0,253}):(\d{1,5})$/.exec(text);
  const host = match?.[1];
  const port = Number(match?.[2]);
  if (host === undefined || !(port <= 65_535)) {
    const shown = String(text).slice(0, 64);
    throw new WaymarkError(
      'invalid',
      `cannot listen on '${shown}': take :port, host:port or [::1]:port`,
    );
  }
  return { host: wildcards.has(host) ? undefined : host, port };
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * Where others reach this machine, as far as it can tell: its first IPv4 address that is not internal, else IPv6, else loopback. Addresses
 * that mean something on one link alone are left out.
 */
export function ownAddress(interfaces: Interfaces = networkInterfaces()): string {
  const all = Object.values(interfaces).flatMap((some) => some ?? []);
  const reachable = all.filter(
    ({ internal, address }) => !internal && !/^(169\.254\.|fe[89ab])/i.test(address),
  );
  const first = (family: string): string | undefined =>
    reachable.find((one) => one.family === family)?.address;
  const v6 = first('IPv6');
  return first('IPv4') ?? (v6 === undefined ? '127.0.0.1' : `[${v6}]`);
}
