import type { ByteString, KeyRange } from '../../core/engine.js';
import { prefixEnd } from '../../core/ranges.js';
import type { Cursor } from './cursor.js';
import { type Interval, Intervals } from './intervals.js';
import type { Slot } from './slot.js';

const nobody: readonly Cursor[] = [];

/**
 * Which cursors a key concerns, so that a write costs its matching watchers and not all of them. Three shapes of range:
 * single keys by hash; trees (all that begin with `…/`) by hash of each ancestor of the key; anything else by an
 * interval tree. The answer is remembered on the key's slot until the set of cursors changes, so that a steady
 * write to a key pays one comparison, however many watch elsewhere.
 */
export class WatchIndex {
  readonly #keys = new Map<ByteString, Set<Cursor>>();
  readonly #trees = new Map<ByteString, Set<Cursor>>();
  readonly #others = new Intervals<Cursor>();
  readonly #intervals = new Map<Cursor, Interval<Cursor>[]>();
  readonly cursors = new Set<Cursor>();
  /** Grows with every change of the cursors. */
  #epoch = 0;

  add(cursor: Cursor): void {
    this.#epoch++;
    this.cursors.add(cursor);
    for (const range of cursor.ranges) {
      if (range.end === undefined) addTo(this.#keys, range.key, cursor);
      else if (isTree(range)) addTo(this.#trees, range.key, cursor);
      else this.#addInterval({ key: range.key, end: range.end, owner: cursor });
    }
  }

  remove(cursor: Cursor): void {
    if (!this.cursors.delete(cursor)) return;
    this.#epoch++;
    for (const range of cursor.ranges) {
      if (range.end === undefined) removeFrom(this.#keys, range.key, cursor);
      else if (isTree(range)) removeFrom(this.#trees, range.key, cursor);
    }
    for (const interval of this.#intervals.get(cursor) ?? []) this.#others.delete(interval);
    this.#intervals.delete(cursor);
  }

  /** Each cursor whose ranges hold the slot's key, once. */
  watchersOf(slot: Slot): readonly Cursor[] {
    if (this.cursors.size === 0) return nobody;
    if (slot.watchersEpoch !== this.#epoch) {
      slot.watchers = this.#find(slot.key);
      slot.watchersEpoch = this.#epoch;
    }
    return slot.watchers as readonly Cursor[];
  }

  #find(key: ByteString): readonly Cursor[] {
    let found: Set<Cursor> | undefined;
    const collect = (cursor: Cursor): void => void (found ??= new Set()).add(cursor);
    this.#keys.get(key)?.forEach(collect);
    if (this.#trees.size > 0) {
      for (let at = key.indexOf('/'); at >= 0; at = key.indexOf('/', at + 1)) {
        this.#trees.get(key.slice(0, at + 1))?.forEach(collect);
      }
    }
    this.#others.stab(key, collect);
    return found === undefined ? nobody : [...found];
  }

  #addInterval(interval: Interval<Cursor>): void {
    this.#others.add(interval);
    const known = this.#intervals.get(interval.owner);
    if (known === undefined) this.#intervals.set(interval.owner, [interval]);
    else known.push(interval);
  }
}

function isTree(range: KeyRange): boolean {
  return range.key.endsWith('/') && range.end === prefixEnd(range.key);
}

function addTo(index: Map<ByteString, Set<Cursor>>, key: ByteString, cursor: Cursor): void {
  const cursors = index.get(key);
  if (cursors === undefined) index.set(key, new Set([cursor]));
  else cursors.add(cursor);
}

function removeFrom(index: Map<ByteString, Set<Cursor>>, key: ByteString, cursor: Cursor): void {
  const cursors = index.get(key);
  if (cursors?.delete(cursor) && cursors.size === 0) index.delete(key);
}
