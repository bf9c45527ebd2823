import type { ByteString, Check, Entry, KeyRange, Query, Reading, Revision } from '../../core/engine.js';
import { SortedKeys } from './sorted-keys.js';
import { Slot } from './slot.js';

/** Every key with its entries: by hash for single keys, in order for ranges. Reads and checks are answered here. */
export class KeyIndex {
  readonly #slots = new Map<ByteString, Slot>();
  readonly #sorted = new SortedKeys();

  get(key: ByteString): Slot | undefined {
    return this.#slots.get(key);
  }

  add(slot: Slot): void {
    this.#slots.set(slot.key, slot);
    this.#sorted.insert(slot);
  }

  remove(slot: Slot): void {
    this.#slots.delete(slot.key);
    this.#sorted.remove(slot.key);
  }

  /** Live entries of the range as of `at`, in key order, as long as `visit` returns true. */
  visit(range: KeyRange, at: Revision, visit: (entry: Entry) => boolean): void {
    if (range.end === undefined) {
      const entry = this.#slots.get(range.key)?.at(at);
      if (entry !== undefined && entry !== null) visit(entry);
      return;
    }
    this.#sorted.visit(range, (slot) => {
      const entry = slot.at(at);
      return entry === null || visit(entry);
    });
  }

  /** The slots of a range that are live now. */
  liveSlots(range: KeyRange): Slot[] {
    if (range.end === undefined) {
      const slot = this.#slots.get(range.key);
      return slot === undefined || slot.head.version === 0 ? [] : [slot];
    }
    const slots: Slot[] = [];
    this.#sorted.visit(range, (slot) => {
      if (slot.head.version !== 0) slots.push(slot);
      return true;
    });
    return slots;
  }

  /** @param revision what the reading says it is true at */
  read(query: Query, at: Revision, revision: Revision): Reading {
    if (query.end === undefined && isPlain(query)) {
      const entry = this.#slots.get(query.key)?.at(at);
      return entry === undefined || entry === null
        ? { revision, entries: [], more: false, count: 0 }
        : { revision, entries: [entry], more: false, count: 1 };
    }
    return readRange(this, query, at, revision);
  }

  /** Whether the check holds now (K3). */
  holds(check: Check): boolean {
    if (check.end === undefined) {
      const entry = this.#slots.get(check.key)?.at(Infinity) ?? null;
      return entry === null ? holdsForAbsent(check) : holdsForEntry(check, entry);
    }
    let any = false;
    let all = true;
    this.#sorted.visit(check, (slot) => {
      if (slot.head.version === 0) return true;
      any = true;
      all = holdsForEntry(check, slot.head);
      return all;
    });
    return any ? all : holdsForAbsent(check);
  }
}

function isPlain(query: Query): boolean {
  return (
    query.keysOnly !== true &&
    query.countOnly !== true &&
    query.minModRevision === undefined &&
    query.maxModRevision === undefined &&
    query.minCreateRevision === undefined &&
    query.maxCreateRevision === undefined
  );
}

function readRange(index: KeyIndex, query: Query, at: Revision, revision: Revision): Reading {
  const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
  const inKeyOrder = (query.orderBy ?? 'key') === 'key' && query.descending !== true;
  const counting = query.uncounted !== true;
  const found: Entry[] = [];
  let count = 0;
  let more = false;
  index.visit(query, at, (entry) => {
    count++;
    if (query.countOnly === true || !passesFilters(query, entry)) return true;
    if (inKeyOrder && found.length >= limit) {
      more = true;
      return counting;
    }
    found.push(entry);
    return true;
  });
  if (!inKeyOrder) {
    found.sort(comparator(query));
    more = found.length > limit;
    if (more) found.length = limit;
  }
  const entries = query.keysOnly === true ? found.map((entry) => ({ ...entry, value: '' })) : found;
  return { revision, entries, more, count: counting ? count : entries.length };
}

function passesFilters(query: Query, entry: Entry): boolean {
  return (
    entry.modRevision >= (query.minModRevision ?? 0) &&
    entry.modRevision <= (query.maxModRevision ?? Infinity) &&
    entry.createRevision >= (query.minCreateRevision ?? 0) &&
    entry.createRevision <= (query.maxCreateRevision ?? Infinity)
  );
}

/** Ties keep key order both ways: entries arrive in it, and the sort is stable. */
function comparator(query: Query): (a: Entry, b: Entry) => number {
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
  return check.target !== 'value' && compare(0, check.is, check.to as number);
}

function holdsForEntry(check: Check, entry: Entry): boolean {
  switch (check.target) {
    case 'version':
      return compare(entry.version, check.is, check.to as number);
    case 'create':
      return compare(entry.createRevision, check.is, check.to as number);
    case 'mod':
      return compare(entry.modRevision, check.is, check.to as number);
    case 'lease':
      return compare(entry.lease, check.is, check.to as number);
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
