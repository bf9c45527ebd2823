import {
  type ByteString,
  bytesToArray,
  arrayToBytes,
  type KeyRange,
  textToBytes,
} from 'waymark/engine';
import { etcdError } from './errors.js';

/**
 * etcd's keys in a namespace: a key is the data facet's letter and its bytes, so that the key `/orders/42` is what the library calls the
 * path `/orders/42`. Keys that are no paths stand beside them; the library does not show those.
 */

const facet = 'd';
const facetEnd = 'e';

/** Where nothing ever is. */
export const never: KeyRange = { key: 'w/\0' };

/** @throws {GrpcError} for the empty key */
export function keyOf(key: Uint8Array): ByteString {
  if (key.length === 0) throw etcdError('emptyKey');
  return facet + arrayToBytes(key);
}

/**
 * @param rangeEnd  empty: the key alone; a zero byte: no end
 * @returns null for a range that ends before it begins: nothing is in it
 */
export function rangeOf(key: Uint8Array, rangeEnd: Uint8Array): KeyRange | null {
  const from = keyOf(key);
  if (rangeEnd.length === 0) return { key: from };
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { key: from, end: facetEnd };
  const end = facet + arrayToBytes(rangeEnd);
  return end > from ? { key: from, end } : null;
}

/** As `rangeOf`; of a range with nothing in it all holds that holds of a key that never is. */
export function comparedRangeOf(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  return rangeOf(key, rangeEnd) ?? never;
}

/** The bytes of a key as etcd's clients know it. */
export function bareKey(key: ByteString): Uint8Array {
  return bytesToArray(key.slice(facet.length));
}

/** The keys of a lease that are etcd's keys of the namespace, out of all keys of the engine. */
export function bareKeysOf(namespace: string, keys: readonly ByteString[]): ByteString[] {
  const prefix = `n/${textToBytes(namespace)}/${facet}`;
  return keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
}
