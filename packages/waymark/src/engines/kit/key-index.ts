import type {
  ByteString,
  Check,
  KeyRange,
  LeaseId,
  Query,
  Reading,
  Revision,
} from '../../core/engine.js';
import { compareLeaseIds } from '../../core/lease-id.js';
import { isPlain } from '../../core/queries.js';
import type { DeletedSince } from './deleted-since.js';
import { SortedKeys } from './sorted-keys.js';
import type { Slot, State } from './slot.js';

/**
 * Every key with its entries: by hash for single keys, in order for ranges. Reads and checks are answered here.
 *
 * Deleted keys stay while history holds them, but out of the order of the living, so that they cost nobody who reads the present: a
 * lock that changes hands leaves two deleted keys each time. Who reads a range in the past brings them along, see deleted-since.ts.
 */
export class KeyIndex {
  readonly #slots = new Map<ByteString, Slot>();
  readonly #live = new SortedKeys();

  get(key: ByteString): Slot | undefined {
    return this.#slots.get(key);
  }

  add(slot: Slot): void {
    this.#slots.set(slot.key, slot);
    this.#live.insert(slot);
  }

  /** The slot got a new state. */
  moved(slot: Slot, lived: boolean): void {
    const lives = slot.version !== 0;
    if (lives === lived) return;
    if (lives) this.#live.insert(slot);
    else this.#live.remove(slot.key);
  }

  /** Forgets a deleted key. */
  remove(slot: Slot): void {
    this.#slots.delete(slot.key);
  }

  /**
   * Live entries of the range as of `at`, in key order, as long as `visit` returns true.
   *
   * @param gone  the keys deleted since `at`; null when `at` is the newest state
   */
  visit(
    range: KeyRange,
    at: Revision,
    gone: DeletedSince | null,
    visit: (state: State) => boolean,
  ): void {
    if (range.end === undefined) {
      const version = this.#slots.get(range.key)?.at(at);
      if (version !== undefined && version !== null) visit(version);
      return;
    }
    const live = this.#live.scan(range);
    const scan = gone === null ? live : merged(live, gone.scan(range));
    for (let slot = scan(); slot !== undefined; slot = scan()) {
      const version = slot.at(at);
      if (version !== null && !visit(version)) return;
    }
  }

  /** The slots of a range that are live now. */
  liveSlots(range: KeyRange): Slot[] {
    if (range.end === undefined) {
      const slot = this.#slots.get(range.key);
      return slot === undefined || slot.version === 0 ? [] : [slot];
    }
    const slots: Slot[] = [];
    this.#live.visit(range, (slot) => slots.push(slot) > 0);
    return slots;
  }

  /**
   * @param at  the state to read: a revision, or Infinity for the newest
   * @param gone  as for `visit`
   * @param revision  what the reading says it is true at
   */
  read(query: Query, at: Revision, gone: DeletedSince | null, revision: Revision): Reading {
    if (query.end === undefined && isPlain(query)) {
      const version = this.#slots.get(query.key)?.at(at);
      return version === undefined || version === null
        ? { revision, entries: [], more: false, count: 0 }
        : { revision, entries: [version.entry()], more: false, count: 1 };
    }
    return readRange(this, query, { at, gone }, revision);
  }

  /** Whether the check holds now (K3). */
  holds(check: Check): boolean {
    if (check.end === undefined) {
      const slot = this.#slots.get(check.key);
      return slot === undefined || slot.version === 0
        ? holdsForAbsent(check)
        : holdsFor(check, slot);
    }
    const first = this.#live.first(check);
    if (first === undefined) return holdsForAbsent(check);
    if (!holdsFor(check, first)) return false;
    let all = true;
    this.#live.visit(check, (slot) => (all = holdsFor(check, slot)));
    return all;
  }
}

/** Two scans as one, in key order; what is in both comes once. */
function merged(a: () => Slot | undefined, b: () => Slot | undefined): () => Slot | undefined {
  let first = a();
  let second = b();
  return () => {
    let next: Slot | undefined;
    if (second === undefined || (first !== undefined && first.key <= second.key)) {
      next = first;
      if (first === second) second = b();
      first = a();
    } else {
      next = second;
      second = b();
    }
    return next;
  };
}

function readRange(
  index: KeyIndex,
  query: Query,
  state: { readonly at: Revision; readonly gone: DeletedSince | null },
  revision: Revision,
): Reading {
  const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
  const inKeyOrder = (query.orderBy ?? 'key') === 'key' && query.descending !== true;
  const counting = query.uncounted !== true;
  const found: State[] = [];
  let count = 0;
  let more = false;
  const order = inKeyOrder ? null : comparator(query);
  index.visit(query, state.at, state.gone, (version) => {
    count++;
    if (query.countOnly === true || !passesFilters(query, version)) return true;
    const [best] = found;
    if (order !== null && limit === 1 && best !== undefined) {
      // The one asked for needs no sorting of all.
      if (order(version, best) < 0) found[0] = version;
      more = true;
      return true;
    }
    if (inKeyOrder && found.length >= limit) {
      more = true;
      return counting;
    }
    found.push(version);
    return true;
  });
  if (order !== null && limit !== 1) {
    found.sort(order);
    more = found.length > limit;
    if (more) found.length = limit;
  }
  const keysOnly = query.keysOnly === true;
  const entries = found.map((version) => (keysOnly ? version.entry('') : version.entry()));
  return { revision, entries, more, count: counting ? count : entries.length };
}

function passesFilters(query: Query, entry: State): boolean {
  return (
    entry.modRevision >= (query.minModRevision ?? 0) &&
    entry.modRevision <= (query.maxModRevision ?? Infinity) &&
    entry.createRevision >= (query.minCreateRevision ?? 0) &&
    entry.createRevision <= (query.maxCreateRevision ?? Infinity)
  );
}

/** Ties keep key order both ways: entries arrive in it, and the sort is stable. */
function comparator(query: Query): (a: State, b: State) => number {
  const sign = query.descending === true ? -1 : 1;
  switch (query.orderBy ?? 'key') {
    case 'create':
      return (a, b) => sign * (a.createRevision - b.createRevision);
    case 'mod':
      return (a, b) => sign * (a.modRevision - b.modRevision);
    case 'version':
      return (a, b) => sign * (a.version - b.version);
    case 'value':
      return (a, b) => sign * compareBytes(a.value, b.value);
    default:
      return (a, b) => sign * compareBytes(a.key, b.key);
  }
}

function compareBytes(a: ByteString, b: ByteString): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function holdsForAbsent(check: Check): boolean {
  if (check.target === 'value') return false;
  if (check.target === 'lease')
    return compare(compareLeaseIds(0, check.to as LeaseId), check.is, 0);
  return compare(0, check.is, check.to as number);
}

function holdsFor(check: Check, entry: Slot): boolean {
  switch (check.target) {
    case 'version':
      return compare(entry.version, check.is, check.to as number);
    case 'create':
      return compare(entry.createRevision, check.is, check.to as number);
    case 'mod':
      return compare(entry.modRevision, check.is, check.to as number);
    case 'lease':
      return compare(compareLeaseIds(entry.lease, check.to as LeaseId), check.is, 0);
    case 'value':
      return compare(entry.value, check.is, check.to as ByteString);
  }
}

function compare<T extends number | ByteString>(actual: T, is: Check['is'], to: T): boolean {
  switch (is) {
    case '=':
      return actual === to;
    case '!=':
      return actual !== to;
    case '<':
      return actual < to;
    case '>':
      return actual > to;
  }
}
