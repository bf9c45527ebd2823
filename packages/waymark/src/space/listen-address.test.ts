import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { ownAddress, parseListen } from './listen-address.js';

function at(address: string, internal = false): NetworkInterfaceInfo {
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const rest = { netmask: '', mac: '', cidr: null, internal, scopeid: 0 };
  return { address, family, ...rest } as NetworkInterfaceInfo;
}

test('[X25] `:port` finds the first address that others can use: IPv4, then IPv6, then loopback', () => {
  const lo = [at('127.0.0.1', true), at('::1', true)];
  const linkLocal = [at('169.254.3.4'), at('fe80::1')];
  const v6 = [at('2001:db8::7')];
  const v4 = [at('10.1.2.3'), at('10.1.2.4')];
  expect(ownAddress({ lo, eth0: [...linkLocal, ...v6, ...v4] })).toBe('10.1.2.3');
  expect(ownAddress({ lo, eth0: [...linkLocal, ...v6] })).toBe('[2001:db8::7]');
  expect(ownAddress({ lo, eth0: linkLocal })).toBe('127.0.0.1');
  expect(ownAddress({})).toBe('127.0.0.1');
});

test('[X25] all ways to say "all addresses" are one', () => {
  for (const text of [':7500', '0.0.0.0:7500', '[::]:7500']) {
    expect(parseListen(text)).toEqual({ host: undefined, port: 7_500 });
  }
  expect(parseListen('[::1]:0')).toEqual({ host: '[::1]', port: 0 });
  expect(parseListen('localhost:65535')).toEqual({ host: 'localhost', port: 65_535 });
});
