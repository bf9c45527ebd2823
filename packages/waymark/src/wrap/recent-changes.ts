import type { Change } from '../core/engine.js';

/** A power of two. Each may keep a value of a mebibyte alive for a while. */
const size = 64;

/**
 * What was made of the changes delivered last, so that each is made once, however many watches deliver it. A WeakMap would
 * know them all, and make every collection look at each of them.
 */
export class RecentChanges {
  readonly #from = new Array<Change | undefined>(size).fill(undefined);
  readonly #to = new Array<Change | undefined>(size).fill(undefined);

  of(change: Change, make: (change: Change) => Change): Change {
    const { key, modRevision } = change.entry;
    // Keys of one revision mostly differ in their last digits.
    const slot = (modRevision + key.charCodeAt(key.length - 1)) & (size - 1);
    const known = this.#to[slot];
    if (this.#from[slot] === change && known !== undefined) return known;
    const made = make(change);
    this.#from[slot] = change;
    this.#to[slot] = made;
    return made;
  }
}
