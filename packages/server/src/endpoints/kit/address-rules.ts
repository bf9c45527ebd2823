import { isIP } from 'node:net';
import { WaymarkError } from 'waymark/engine';
import { canonicalHost } from './hosts.js';

/**
 * Which addresses endpoints may have. Whoever may register a watcher makes the server connect to what it names, so nothing that is not public is
 * reached unless whoever runs the server allows its network: see IANA's special-purpose address registries (RFC 6890).
 *
 * Addresses are compared as numbers, and never as text. `net.BlockList` is not used: on Node 20 it takes 2001:200:: for a member of 2001::/23.
 */

const networksMax = 256;

/** Everything in IPv4 that is not on the public network. */
const notPublic4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
].map(network);

/** All public addresses of IPv6 are in here: loopback, link-local, site-local, unique local and multicast ones are not. */
const public6 = network('2000::/3');

/** What is in `public6` and is not public: protocols' own with Teredo, and documentation. */
const notPublic6 = ['2001::/23', '2001:db8::/32', '3fff::/20'].map(network);

/**
 * IPv4 inside IPv6, and how far to the left it stands: compatible, NAT64, 6to4. It is judged by what is inside: of `::1` that
 * is 0.0.0.1, no public address either. A mapped address comes here as the
 * IPv4 address that it is.
 */
const carriers = [
  { network: network('::/96'), shift: 0n },
  { network: network('64:ff9b::/96'), shift: 0n },
  { network: network('2002::/16'), shift: 80n },
];

interface Network {
  readonly family: 4 | 6;
  readonly first: bigint;
  /** Bits that may differ. */
  readonly free: bigint;
}

interface AddressNumber {
  readonly family: 4 | 6;
  readonly number: bigint;
}

export class AddressRules {
  readonly #allowed: readonly Network[];

  /**
   * @param allow  networks beside the public ones, as `10.0.0.0/8` or `fd00::/8`; at most 256
   * @throws {WaymarkError} `invalid`, naming the network that is none
   */
  constructor(allow: readonly string[]) {
    if (allow.length > networksMax) {
      throw new WaymarkError('invalid', `at most ${networksMax} networks are allowed to endpoints`);
    }
    this.#allowed = allow.map(network);
  }

  /** @returns whether it is an address, in whichever spelling, that may be reached; false for names */
  allows(address: string): boolean {
    const host = canonicalHost(address);
    return host !== null && isIP(host) !== 0 && this.#allows(numberOf(host));
  }

  #allows(address: AddressNumber): boolean {
    const isIn = (one: Network): boolean => holds(one, address);
    if (this.#allowed.some(isIn)) return true;
    if (address.family === 4) return !notPublic4.some(isIn);
    const carrier = carriers.find((one) => isIn(one.network));
    if (carrier === undefined) return isIn(public6) && !notPublic6.some(isIn);
    return this.#allows({ family: 4, number: BigInt.asUintN(32, address.number >> carrier.shift) });
  }
}

function holds({ family, first, free }: Network, address: AddressNumber): boolean {
  return family === address.family && first >> free === address.number >> free;
}

/** @throws {WaymarkError} `invalid` */
function network(cidr: string): Network {
  const [written = '', length = '', ...rest] = cidr.split('/');
  const version = isIP(written);
  const bits = version === 4 ? 32 : 128;
  const right = version !== 0 && rest.length === 0 && /^(0|[1-9][0-9]{0,2})$/.test(length);
  if (!right || written.includes('%') || Number(length) > bits) {
    throw new WaymarkError(
      'invalid',
      `'${cidr}' is no network: write ADDRESS/BITS, as 10.0.0.0/8, 127.0.0.1/32 or fd00::/8; names are not taken`,
    );
  }
  const family = version as 4 | 6;
  const first = version === 4 ? numberOf4(written) : numberOf6(written);
  const free = BigInt(bits - Number(length));
  if ((first >> free) << free !== first) {
    throw new WaymarkError(
      'invalid',
      `'${cidr}' names one address and a network: an address alone is /${bits}, a network ends in zeros`,
    );
  }
  return { family, first, free };
}

/** @param host  canonical */
function numberOf(host: string): AddressNumber {
  return host.includes(':')
    ? { family: 6, number: numberOf6(host) }
    : { family: 4, number: numberOf4(host) };
}

function numberOf4(dotted: string): bigint {
  return dotted.split('.').reduce((number, part) => number * 256n + BigInt(part), 0n);
}

function numberOf6(written: string): bigint {
  const address = new URL(`http://[${written}]/`).hostname.slice(1, -1);
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce(
    (number, group) => number * 65_536n + BigInt(`0x${group}`),
    0n,
  );
}
