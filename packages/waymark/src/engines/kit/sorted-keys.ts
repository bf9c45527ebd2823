import type { ByteString, KeyRange } from '../../core/engine.js';
import type { Slot } from './slot.js';

/**
 * Slots in key order, in two levels: a list of leaves of at most 256 slots, and beside it the least key of each leaf.
 * A search is two binary searches; an insert moves at most one leaf's pointers, and rarely the list's. A B+tree
 * of more levels was rejected: at a million keys the list has some five thousand leaves, which stays in cache, and
 * the code is a third as long. (The idea is that of Python's sortedcontainers.)
 */
const leafMax = 256;

export class SortedKeys {
  #size = 0;
  #leaves: Slot[][] = [];
  /** A lower bound of each leaf's keys, above all keys of the leaf before. */
  #least: ByteString[] = [];
  /** What `first` was asked last, and its answer until keys come or go: the write guard asks the same before every write. */
  #askedKey: ByteString | undefined;
  #askedFirst: Slot | undefined;

  insert(slot: Slot): void {
    this.#size++;
    this.#askedKey = undefined;
    if (this.#leaves.length === 0) {
      this.#leaves.push([slot]);
      this.#least.push(slot.key);
      return;
    }
    const at = this.#leafFor(slot.key);
    const leaf = this.#leaves[at] as Slot[];
    const position = lowerBound(leaf, slot.key);
    if (at === 0 && position === 0) this.#least[0] = slot.key;
    if (leaf.length < leafMax) {
      if (position === leaf.length) leaf.push(slot);
      else leaf.splice(position, 0, slot);
      return;
    }
    this.#split(at, leaf, position, slot);
  }

  remove(key: ByteString): void {
    const at = this.#leafFor(key);
    const leaf = this.#leaves[at];
    if (leaf === undefined) return;
    const position = lowerBound(leaf, key);
    if (leaf[position]?.key !== key) return;
    this.#size--;
    this.#askedKey = undefined;
    leaf.splice(position, 1);
    if (leaf.length === 0) this.#dropLeaf(at);
    else if (leaf.length < leafMax / 8) this.#mergeWithNext(at);
  }

  get size(): number {
    return this.#size;
  }

  /** Slots of the range in key order, as long as `visit` returns true. `visit` must not change the keys. */
  visit(range: KeyRange, visit: (slot: Slot) => boolean): void {
    const scan = this.scan(range);
    for (let slot = scan(); slot !== undefined; slot = scan()) if (!visit(slot)) return;
  }

  /** The first slot of the range. */
  first({ key, end }: KeyRange): Slot | undefined {
    if (key !== this.#askedKey) {
      this.#askedFirst = this.#from(key);
      this.#askedKey = key;
    }
    const slot = this.#askedFirst;
    if (slot === undefined) return undefined;
    const inside = end === undefined ? slot.key === key : end === '' || slot.key < end;
    return inside ? slot : undefined;
  }

  /** The first slot whose key is not below `key`. */
  #from(key: ByteString): Slot | undefined {
    const at = this.#leafFor(key);
    const leaf = this.#leaves[at];
    return leaf?.[lowerBound(leaf, key)] ?? this.#leaves[at + 1]?.[0];
  }

  /** @returns gives the next slot of the range at each call, undefined past its end; the keys must not change meanwhile */
  scan(range: KeyRange): () => Slot | undefined {
    const { key, end } = range;
    let at = this.#leafFor(key);
    let leaf = this.#leaves[at];
    let position = leaf === undefined ? 0 : lowerBound(leaf, key);
    return () => {
      while (leaf !== undefined && position >= leaf.length) {
        leaf = this.#leaves[++at];
        position = 0;
      }
      const slot = leaf?.[position++];
      if (slot === undefined) return undefined;
      if (end === undefined ? slot.key === key : end === '' || slot.key < end) return slot;
      leaf = undefined;
      return undefined;
    };
  }

  /** A full leaf is halved; at the far end it is left full instead, so that ascending keys fill leaves. */
  #split(at: number, leaf: Slot[], position: number, slot: Slot): void {
    const last = at === this.#leaves.length - 1;
    const cut = last && position === leaf.length ? leaf.length : leaf.length >> 1;
    const right = leaf.splice(cut);
    if (position > cut || right.length === 0) right.splice(position - cut, 0, slot);
    else leaf.splice(position, 0, slot);
    this.#leaves.splice(at + 1, 0, right);
    this.#least.splice(at + 1, 0, (right[0] as Slot).key);
  }

  #mergeWithNext(at: number): void {
    const leaf = this.#leaves[at];
    const next = this.#leaves[at + 1];
    if (leaf === undefined || next === undefined || leaf.length + next.length > leafMax / 2) return;
    leaf.push(...next);
    this.#dropLeaf(at + 1);
  }

  #dropLeaf(at: number): void {
    this.#leaves.splice(at, 1);
    this.#least.splice(at, 1);
  }

  /** The last leaf whose least key is not above `key`, or the first. */
  #leafFor(key: ByteString): number {
    const least = this.#least;
    let low = 0;
    let high = least.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((least[middle] as ByteString) <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }
}

/** The position of the first slot whose key is not below `key`. */
function lowerBound(leaf: readonly Slot[], key: ByteString): number {
  let low = 0;
  let high = leaf.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((leaf[middle] as Slot).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
