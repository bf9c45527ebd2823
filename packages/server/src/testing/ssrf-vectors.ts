import { networkInterfaces } from 'node:os';

/** What an endpoint might name to make a server reach inside its own network. */
export interface Vector {
  readonly host: string;
  /** What the name is looked up as; absent for literals. */
  readonly answers?: readonly string[];
}

const literals: readonly string[] = [
  // Loopback, in the spellings that URLs, C libraries and shells take.
  ...['127.0.0.1', '127.0.0.2', '127.255.255.255', '127.1', '127.0.1', '0177.0.0.1', '0177.1'],
  ...['0x7f.0.0.1', '0x7f.1', '0x7f000001', '0X7F000001', '2130706433', '017700000001'],
  ...['127.0.0.1.', '0x7f000001.', '%31%32%37.0.0.1', '127%2e0%2e0%2e1', '0000177.0.0.1'],
  ...['１２７.0.0.1', '①②⑦.0.0.1', '127。0。0。1', '127．0．0．1', '127｡0｡0｡1'],
  ...['[127.0.0.1]', '127.0.0.1%lo', '127.0.0.1%25lo'],
  // "This host", which connects to loopback.
  ...['0', '0.0.0.0', '0x0', '0.0', '00000', '0.1.2.3', '0.255.255.255', '0.0.0.0.'],
  // Private, link-local (metadata services), carrier-grade NAT.
  ...['10.0.0.0', '10.0.0.1', '10.255.255.255', '0xa000001', '167772161', '012.0.0.1', '10.1'],
  ...['172.16.0.0', '172.20.1.1', '172.31.255.255', '192.168.0.1', '192.168.255.255'],
  ...['0xc0a80001', '3232235521', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ...['2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.43518', '169.0xfea9fe'],
  ...['100.64.0.0', '100.100.100.200', '100.127.255.255'],
  // Protocols, documentation, benchmarks, multicast, reserved, broadcast.
  ...['192.0.0.1', '192.0.0.170', '192.0.0.255', '192.0.2.1', '192.88.99.1', '198.51.100.7'],
  ...['203.0.113.9', '198.18.0.1', '198.19.255.255', '224.0.0.1', '239.255.255.250'],
  ...['240.0.0.1', '254.255.255.255', '255.255.255.255', '0xffffffff', '4294967295'],
  // IPv6: own, and IPv4 inside it.
  ...['::', '::1', '[::]', '[::1]', '0:0:0:0:0:0:0:1', '[0000::0001]', '::0001', '[0::1]'],
  ...['::ffff:127.0.0.1', '[::ffff:127.0.0.1]', '::ffff:7f00:1', '::FFFF:7F00:0001'],
  ...['0:0:0:0:0:ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:10.0.0.1', '::ffff:0:0'],
  ...['::127.0.0.1', '::169.254.169.254', '::7f00:1', '::10.1.2.3', '::2', '::ffff'],
  ...['64:ff9b::7f00:1', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b::10.0.0.1'],
  ...['64:ff9b:1::', '64:ff9b:1::a9fe:a9fe', '64:ff9b:1:ffff::1', '64:ff9b:2::8.8.8.8'],
  ...['2002:7f00:1::', '2002:a9fe:a9fe::', '2002:a00:1::1', '2002:c0a8:101::1', '2002::1'],
  ...['2001::1', '2001:0:7f00:1::', '2001:0:ffff:ffff::', '2001:10::1', '2001:1ff:ffff::1'],
  // IPv6 that is not public.
  ...['fe80::1', 'fe80::1%eth0', '[fe80::1%25eth0]', '::1%lo', '[::1%lo]', 'febf::1', 'fe90::1'],
  ...['fec0::1', 'feff::1', 'fc00::1', 'fd00::1', 'fdff:ffff::1', 'fd00:ec2::254', 'ff02::1'],
  ...['ff05::2', '2001:db8::1', '2001:db8:ffff::', '3fff::1', '100::1', '5f00::1', '1fff::1'],
  ...['4000::1', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
];

const names: readonly Vector[] = [
  { host: 'localhost', answers: ['127.0.0.1', '::1'] },
  { host: 'LOCALHOST.', answers: ['127.0.0.1'] },
  { host: 'six.example', answers: ['::1'] },
  { host: 'mapped.example', answers: ['::ffff:127.0.0.1'] },
  { host: 'metadata.example', answers: ['169.254.169.254'] },
  { host: 'zone.example', answers: ['fe80::1%eth0'] },
  { host: 'nat64.example', answers: ['64:ff9b::7f00:1'] },
  { host: '127.0.0.1.nip.example', answers: ['127.0.0.1'] },
  { host: 'public-first.example', answers: ['8.8.8.8', '127.0.0.1'] },
  { host: 'private-first.example', answers: ['127.0.0.1', '8.8.8.8'] },
  { host: 'six-among.example', answers: ['8.8.8.8', '2606:4700::1111', '::1'] },
  { host: 'bücher.example', answers: ['10.0.0.1'] },
  { host: 'odd.example', answers: ['2130706433'] },
  { host: 'not-an-address.example', answers: ['localhost'] },
  { host: 'empty.example', answers: ['8.8.8.8', ''] },
];

/** What is no host at all; Node would take some of these for loopback, or for a path of a Unix socket. */
const noHosts: readonly string[] = [
  ...['', '.', '..', 'a..b', '[]', '[', '/var/run/redis.sock', '%2Fvar%2Frun%2Fredis.sock'],
  ...['user@127.0.0.1', '127.0.0.1:80', '127.0.0.1/', '127.0.0.1#', '127.0.0.1?', '127.0.0.1\\'],
  ...['a b', 'a\r\nb', 'a\0', '1.2.3.4.5', '256.256.256.256', '0x100000000', ':::', '1::2::3'],
  ...['127.0.0.1\t', ' 127.0.0.1', '%', '%00', 'x'.repeat(64 * 4)],
];

/** This machine's own addresses: all of these are private where tests run, or loopback. */
const own = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .map(({ address }) => address)
  .filter((address) =>
    /^(10|127|172\.(1[6-9]|2\d|3[01])|192\.168)\.|^fe80|^f[cd]|^::1/.test(address),
  );

export const vectors: readonly Vector[] = [
  ...[...literals, ...noHosts, ...own].map((host) => ({ host })),
  ...names,
];

/** What is public, some of it by a hair. */
export const publicAddresses: readonly string[] = [
  ...['1.1.1.1', '8.8.8.8', '1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255'],
  ...['100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255', '169.255.0.0'],
  ...['172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0'],
  ...['192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0', '198.17.255.255'],
  ...['198.20.0.0', '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0'],
  ...['223.255.255.255', '2606:4700::1111', '[2606:4700::1111]', '2001:200::1', '2000::1'],
  ...['2001:db7::1', '2001:db9::1', '2003::1', '3ffe::1', '3fff:1000::1', '::ffff:8.8.8.8'],
  ...['64:ff9b::8.8.8.8', '2002:808:808::1', '134744072', '0x08080808', '8.8.8.8.'],
];
