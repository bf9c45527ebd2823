import { WaymarkError } from '../../core/errors.js';

const addressesMax = 64;

/**
 * The servers that a URL names, each a URL: `http://a:1,http://b:2`, or with one scheme for all `http://a,b:7421,c`. Any of them will do: a
 * client begins with one at random and goes on to the next when that fails or sends it away. With TLS, what stands at the end holds of all:
 * `https://a,b?ca=FILE&cert=FILE&key=FILE`.
 *
 * @throws {WaymarkError} `invalid` for an empty one, more than 64, or files for one without TLS
 */
export function addressesOf(url: string): readonly string[] {
  const [, bare = url, files = ''] = /^(.*?)(\?(?:ca|cert|key)=.*)?$/s.exec(url) ?? [];
  const addresses = bareAddressesOf(bare);
  if (files === '') return addresses;
  for (const address of addresses) {
    if (!/^(https|wss):/.test(address))
      throw invalid(`${address} has no use for ${files.slice(1)}`);
  }
  return addresses.map((address) => address + files);
}

function bareAddressesOf(url: string): readonly string[] {
  const addresses: string[] = [];
  let scheme = '';
  // The path of a socket may hold commas: a comma ends it only where another scheme follows.
  for (const part of url.split(/,(?=[a-z]+:)/)) {
    if (part.startsWith('unix:')) {
      addresses.push(part);
      continue;
    }
    for (const address of part.split(',')) {
      const own = /^[a-z]+:\/\//.exec(address)?.[0];
      scheme = own ?? scheme;
      if (address === (own ?? '')) throw invalid(`'${url}' names a server without a host`);
      addresses.push(own === undefined ? scheme + address : address);
    }
  }
  if (addresses.length <= addressesMax) return addresses;
  throw invalid(`${addresses.length} servers in one URL: at most ${addressesMax}`);
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
