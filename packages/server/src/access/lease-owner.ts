import { bytesToText, type LeaseId, type Operation, textToBytes } from 'waymark/engine';

/**
 * Whose a lease is stands in a key under the lease itself: it goes when the lease does, at whatever server, and each look at a lease shows it
 * among the keys that it keeps. The user is a part of the key, so that the look is enough.
 */
const area = 'w/lease/';

/** Beside all namespaces, where no path leads. */
export function ownerPut(id: LeaseId, user: string): Operation {
  return {
    type: 'put',
    key: `${area}${id.toString(16)}/${textToBytes(user)}`,
    value: '',
    lease: id,
  };
}

export interface Kept {
  /** Null where it was granted while access was off, or by the server itself. */
  readonly owner: string | null;
  /** All other keys. */
  readonly keys: readonly string[];
}

/** @param keys  all that stand under a lease, whole ones */
export function keptBy(keys: readonly string[]): Kept {
  const owners = keys.filter((key) => key.startsWith(area));
  const [owner] = owners;
  if (owner === undefined) return { owner: null, keys };
  const at = owner.indexOf('/', area.length) + 1;
  return {
    owner: bytesToText(owner.slice(at)),
    keys: keys.filter((key) => !key.startsWith(area)),
  };
}
