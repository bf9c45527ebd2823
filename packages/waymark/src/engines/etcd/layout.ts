import { arrayToBytes } from '../../core/bytes.js';
import type { ByteString, Check, KeyRange, LeaseId } from '../../core/engine.js';
import { toLeaseId } from '../../core/lease-id.js';
import { prefixEnd } from '../../core/ranges.js';

/**
 * Where things lie in etcd: everything under one root, which nothing here reads or writes beyond.
 *
 *     ROOT/d/KEY      an entry
 *     ROOT/l/ID       the marker of a lease, attached to it and never deleted: so a revision in which one vanishes is the end of a lease
 *     ROOT/m/floor    history below this revision is gone (K9)
 *     ROOT/m/identity names this order of commits
 */
export class Layout {
  readonly root: ByteString;
  readonly rootRange: { readonly key: Buffer; readonly end: Buffer };
  readonly leaseRange: { readonly key: Buffer; readonly end: Buffer };
  readonly floorKey: Buffer;
  readonly identityKey: Buffer;
  /** Entries lie from here up to `dataEnd`. */
  readonly data: ByteString;
  readonly dataEnd: ByteString;
  /** What was written of checks that stay the same. */
  readonly written = new WeakMap<readonly Check[], ByteString>();
  readonly #leases: ByteString;

  /** @param root  bytes without a slash at the end */
  constructor(root: ByteString) {
    this.root = root;
    this.data = `${root}/d/`;
    this.dataEnd = `${root}/d0`;
    this.#leases = `${root}/l/`;
    this.rootRange = { key: toBuffer(`${root}/`), end: toBuffer(prefixEnd(`${root}/`)) };
    this.leaseRange = { key: toBuffer(this.#leases), end: toBuffer(prefixEnd(this.#leases)) };
    this.floorKey = toBuffer(`${root}/m/floor`);
    this.identityKey = toBuffer(`${root}/m/identity`);
  }

  key(key: ByteString): Buffer {
    return toBuffer(this.data + key);
  }

  /** The `range_end` of etcd: empty for a single key. */
  end({ end }: KeyRange): Buffer {
    if (end === undefined) return nothing;
    return toBuffer(end === '' ? this.dataEnd : this.data + end);
  }

  leaseMarker(id: LeaseId): Buffer {
    return toBuffer(`${this.#leases}${id}`);
  }

  /** What a key of etcd under the root is. */
  read(raw: Uint8Array): Place {
    const key = arrayToBytes(raw);
    if (key.startsWith(this.data)) return { kind: 'entry', key: key.slice(this.data.length) };
    if (key.startsWith(this.#leases)) return leaseOf(key.slice(this.#leases.length));
    if (key === `${this.root}/m/floor`) return { kind: 'floor' };
    return { kind: key === `${this.root}/m/identity` ? 'identity' : 'other' };
  }

  /** The key of an entry, without what stands before it. */
  entryKey(raw: Uint8Array): ByteString {
    return arrayToBytes(raw.subarray(this.data.length));
  }
}

export type Place =
  | { readonly kind: 'entry'; readonly key: ByteString }
  | { readonly kind: 'lease'; readonly id: LeaseId }
  | { readonly kind: 'floor' | 'identity' | 'other' };

function leaseOf(digits: string): Place {
  if (!/^-?\d+$/.test(digits)) return { kind: 'other' };
  return { kind: 'lease', id: toLeaseId(BigInt(digits)) };
}

const nothing = Buffer.alloc(0);

export function toBuffer(bytes: ByteString): Buffer {
  return Buffer.from(bytes, 'latin1');
}
