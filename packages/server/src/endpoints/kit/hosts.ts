/** What a URL ends a host with, or reads as something else than a host. */
const foreign = /[\0-\x20\x7f/?#@\\]/;
const nameBytesMax = 253;

/**
 * One spelling for each host: a name in lower case and ASCII without its last dot, an address in its usual form and without brackets. Numbers are
 * read as browsers and C libraries read them (`0x7f000001`, `2130706433`, `127.1`), and an IPv4 address in the clothes of IPv6 as the IPv4 one that
 * it is.
 *
 * @returns null for what is no host. A zone (`fe80::1%eth0`) means something on one machine alone, so it is none
 */
export function canonicalHost(written: string): string | null {
  const bracketed = written.startsWith('[') && written.endsWith(']');
  const bare = bracketed ? written.slice(1, -1) : written;
  if (bracketed || bare.includes(':')) return canonicalIpv6(bare);
  if (foreign.test(bare) || !URL.canParse(`http://${bare}/`)) return null;
  const host = new URL(`http://${bare}/`).hostname.replace(/\.$/, '');
  const labels = host.split('.');
  return host.length <= nameBytesMax && labels.every((label) => label !== '') ? host : null;
}

function canonicalIpv6(bare: string): string | null {
  if (!/^[0-9a-f:.]+$/i.test(bare) || !URL.canParse(`http://[${bare}]/`)) return null;
  const address = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(address);
  if (mapped === null) return address;
  const [, high = '', low = ''] = mapped;
  const [a, b] = [parseInt(high, 16), parseInt(low, 16)];
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}
