import { expect, test } from 'vitest';
import { canonicalHost } from './hosts.js';

test.each([
  ['Example.COM', 'example.com'],
  ['example.com.', 'example.com'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['b%C3%BCcher.example', 'xn--bcher-kva.example'],
  ['ex%61mple.com', 'example.com'],
  ['my_host', 'my_host'],
  ['127.1', '127.0.0.1'],
  ['0x7f000001', '127.0.0.1'],
  ['0177.0.0.1.', '127.0.0.1'],
  ['１２７。0。0。1', '127.0.0.1'],
  ['[0:0::1]', '::1'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['[::FFFF:10.0.0.1]', '10.0.0.1'],
  ['::ffff:a00:1', '10.0.0.1'],
])('%s is %s, and stays so', (written, host) => {
  expect(canonicalHost(written)).toBe(host);
  expect(canonicalHost(host)).toBe(host);
});

test.each([
  ...['', '.', '..', 'a..b', '.a', 'a b', 'a\tb', 'a\nb', 'user@host', 'host:80', 'host/path'],
  ...['host?x', 'host#x', 'host\\x', 'a%2fb', 'a%3a80', 'a%40b', 'a%00', '%', '[]', '[::1', '::1]'],
  ...['[host]', '[127.0.0.1]', '1.2.3.4.5', '256.1.1.1', '::1%eth0', '[fe80::1%25eth0]', 'xn--'],
  ...['1::2::3', '/run/redis.sock', 'a'.repeat(254), 'a^b', 'a|b', 'a<b'],
])('%j is no host', (written) => {
  expect(canonicalHost(written)).toBe(null);
});
