import type { ByteString, Check, KeyRange, ReadOperation } from '../core/engine.js';
import type { HeldKeys, LockMode } from '../core/host.js';
import { ownBytes } from '../core/bytes.js';
import { fixedChecks } from '../core/validate.js';
import {
  below,
  exactly,
  exclusiveMarksAt,
  markStem,
  placeFacet,
  placeFacetRange,
  placeStem,
  treesAt,
} from '../space/layout.js';
import { ancestorsOf, checkCanonical, pathToBytes } from '../space/paths.js';

export interface Wanted {
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
}

/** The keys of one request. */
export interface RequestKeys {
  readonly place: ByteString;
  readonly mark: ByteString;
}

/** Paths whose plans are kept, per namespace: those that came first go first. */
const pathsMax = 1_000;

/** After a request found somebody in its way, so many look place by place before the namespace is taken for quiet again. */
const preciseRequests = 256;

/**
 * What conflicts with a lock depends on path, tree and mode alone, so where to look is written down once for the locks that
 * are asked for again and again. Keys here are the engine's, with the namespace's prefix.
 */
export class LockPlans {
  readonly prefix: ByteString;
  /** By path, then by `variantOf`. */
  readonly #plans = new Map<string, (LockPlan | undefined)[]>();
  #precise = 0;

  constructor(prefix: ByteString) {
    this.prefix = prefix;
  }

  /** @throws {WaymarkError} `invalid`, `too_large` for what is no canonical path */
  of(wanted: Wanted): LockPlan {
    const plans = this.#plans.get(wanted.path) ?? this.#begin(wanted.path);
    return (plans[variantOf(wanted)] ??= this.#make(wanted));
  }

  /** Whether the next request is to try first as if nobody waited in the whole namespace: see `LockPlan.freeWhereQuiet`. */
  presumeQuiet(): boolean {
    if (this.#precise === 0) return true;
    this.#precise--;
    return false;
  }

  foundBusy(): void {
    this.#precise = preciseRequests;
  }

  #begin(path: string): (LockPlan | undefined)[] {
    checkCanonical(path);
    if (this.#plans.size >= pathsMax) {
      for (const oldest of this.#plans.keys()) {
        this.#plans.delete(oldest);
        break;
      }
    }
    const plans = [undefined, undefined, undefined, undefined];
    this.#plans.set(path, plans);
    return plans;
  }

  #make({ path, tree, mode }: Wanted): LockPlan {
    return new LockPlan(this.prefix, { path, tree, mode });
  }
}

function variantOf({ tree, mode }: Wanted): number {
  return (tree ? 2 : 0) + (mode === 'shared' ? 1 : 0);
}

export class LockPlan {
  readonly wanted: Wanted;
  readonly prefix: ByteString;
  /** Places that conflict: trees on proper ancestors, all on the path, and for a tree all below. */
  readonly places: readonly KeyRange[];
  /** Where marks stand that may conflict; for a shared request the shared ones among them do not. */
  readonly marks: readonly KeyRange[];
  /** Nobody holds or waits for what conflicts. */
  readonly #free: readonly Check[];
  /** No mark that conflicts, and no place at all in the namespace: stricter, and half as many looks. */
  readonly #quiet: readonly Check[];
  /** No mark stands, and places only where the request's own can be. */
  readonly #clear: readonly Check[];
  /** The range of places that holds the request's own; undefined for a shared request, whose own is in none of them. */
  readonly #own: KeyRange | undefined;
  /** Reads the youngest place of each range, and all marks. */
  readonly look: readonly ReadOperation[];
  readonly markReads: readonly ReadOperation[];
  readonly #place: ByteString;
  readonly #mark: ByteString;
  #lastId = '';
  #lastKeys: RequestKeys = { place: '', mark: '' };

  constructor(prefix: ByteString, wanted: Wanted) {
    this.wanted = wanted;
    this.prefix = prefix;
    const path = pathToBytes(wanted.path);
    const facets = wanted.mode === 'exclusive' ? (['x', 's'] as const) : (['x'] as const);
    const own = exactly(placeFacet('exclusive'), path);
    const places = facets.flatMap((facet) => [
      ...ancestorsOf(path).map((ancestor) => treesAt(facet, ancestor)),
      facet === 'x' ? own : exactly(facet, path),
      ...(wanted.tree ? [below(facet, path)] : []),
    ]);
    const marks = ancestorsOf(path).map((ancestor) => treesAt('h', ancestor));
    marks.push(exactly('h', path));
    if (wanted.tree) marks.push(below('h', path));
    this.places = places.map((range) => this.#whole(range));
    this.marks = marks.map((range) => this.#whole(range));
    this.#own = wanted.mode === 'exclusive' ? this.places[places.indexOf(own)] : undefined;
    const inTheWay = conflictingMarks(wanted, path, marks).map((range) => this.#whole(range));
    const waiting = facets.map((facet) => this.#whole(placeFacetRange(facet)));
    this.#free = fixedChecks([...this.places, ...inTheWay].map(isEmpty));
    this.#quiet = fixedChecks([...waiting, ...inTheWay].map(isEmpty));
    this.#clear = [...this.marks, ...this.places.filter((range) => range !== this.#own)].map(
      isEmpty,
    );
    this.markReads = this.marks.map((range) => ({ type: 'read', ...range, uncounted: true }));
    this.look = [...this.places.map((range) => youngestOf(range, undefined)), ...this.markReads];
    this.#place = ownBytes(prefix + placeStem(wanted));
    this.#mark = ownBytes(prefix + markStem(wanted));
  }

  /** Most requests are followed by their own release: its keys are then the same strings, hashed already. */
  keysOf(id: string): RequestKeys {
    if (id === this.#lastId) return this.#lastKeys;
    this.#lastId = id;
    this.#lastKeys = { place: this.#place + id, mark: this.#mark + id };
    return this.#lastKeys;
  }

  hold(id: string): HeldKeys {
    const { path, tree, mode } = this.wanted;
    return { path, tree, mode, id };
  }

  /** Holds when a lock can be had without a place in the queue, and is not held by this very request. */
  free(keys: RequestKeys): readonly Check[] {
    return this.#unlessHeld(this.#free, keys);
  }

  /** Holds where `free` does, as long as nobody in the namespace waits for anything. */
  freeWhereQuiet(keys: RequestKeys): readonly Check[] {
    return this.#unlessHeld(this.#quiet, keys);
  }

  /** Holds when nothing is in the way of a request whose place was put at `created` but younger places on the same path. */
  clearBefore(created: number): readonly Check[] {
    if (this.#own === undefined) return this.#clear;
    const { key, end } = this.#own;
    return [{ key, end, target: 'create', is: '>', to: created - 1 }, ...this.#clear];
  }

  /** As `look`, but of the places older than `created`. */
  lookBefore(created: number): ReadOperation[] {
    return [...this.places.map((range) => youngestOf(range, created - 1)), ...this.markReads];
  }

  #unlessHeld(checks: readonly Check[], { mark }: RequestKeys): readonly Check[] {
    return this.wanted.mode === 'exclusive' ? checks : [...checks, isEmpty({ key: mark })];
  }

  /** One string each, not the pieces it was put together from: they are looked at with every request. */
  #whole({ key, end }: KeyRange): KeyRange {
    const whole = (bytes: ByteString): ByteString => ownBytes(this.prefix + bytes);
    return { key: whole(key), end: end === undefined ? undefined : whole(end) };
  }
}

/**
 * Where a mark conflicts whatever it is. Below a path a range cannot leave out the shared ones: a shared tree request that finds some
 * there takes the way of those who wait, and sees on its first look that they are not in its way.
 */
function conflictingMarks(
  { mode, tree }: Wanted,
  path: ByteString,
  marks: readonly KeyRange[],
): readonly KeyRange[] {
  if (mode === 'exclusive') return marks;
  const above = ancestorsOf(path).map((ancestor) => exclusiveMarksAt(ancestor, true));
  const here = [exclusiveMarksAt(path, false), exclusiveMarksAt(path, true)];
  return [...above, ...here, ...(tree ? [below('h', path)] : [])];
}

function youngestOf({ key, end }: KeyRange, maxCreateRevision: number | undefined): ReadOperation {
  return {
    type: 'read',
    key,
    end,
    orderBy: 'create',
    descending: true,
    limit: 1,
    uncounted: true,
    maxCreateRevision,
  };
}

function isEmpty({ key, end }: KeyRange): Check {
  return { key, end, target: 'version', is: '=', to: 0 };
}
