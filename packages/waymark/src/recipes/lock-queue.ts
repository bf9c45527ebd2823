import type {
  ByteString,
  Engine,
  Entry,
  KeyRange,
  OperationResult,
  ReadOperation,
} from '../core/engine.js';
import type { HeldKeys, LockMode } from '../core/host.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { below, exactly, parseMark, placeFacet, treesAt } from '../space/layout.js';
import { ancestorsOf, pathToBytes } from '../space/paths.js';

/** What conflicts with a request: where to look for places and marks, and how to read what is found. */

export interface Wanted {
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
}

export interface Party {
  readonly session: string;
  readonly owner: string;
}

export function encodeParty(party: Party): ByteString {
  return `${party.session}\n${textToBytes(party.owner)}`;
}

/** A place that waits for an upgrade has a `^` in front. */
export function decodeParty(value: ByteString): Party {
  const newline = value.indexOf('\n');
  const start = value.startsWith('^') ? 1 : 0;
  return { session: value.slice(start, newline), owner: bytesToText(value.slice(newline + 1)) };
}

/** Ranges of places that conflict: trees on proper ancestors, all on the path, and for a tree all below. */
export function conflictingPlaces(wanted: Wanted): KeyRange[] {
  const path = pathToBytes(wanted.path);
  const ranges: KeyRange[] = [];
  for (const facet of facetsAgainst(wanted.mode)) {
    for (const ancestor of ancestorsOf(path)) ranges.push(treesAt(facet, ancestor));
    ranges.push(exactly(facet, path));
    if (wanted.tree) ranges.push(below(facet, path));
  }
  return ranges;
}

/** Ranges of marks that may conflict; for a shared request the shared ones among them do not. */
export function markRanges(wanted: Wanted): KeyRange[] {
  const path = pathToBytes(wanted.path);
  const ranges = ancestorsOf(path).map((ancestor) => treesAt('h', ancestor));
  ranges.push(exactly('h', path));
  if (wanted.tree) ranges.push(below('h', path));
  return ranges;
}

export function markConflicts(wanted: Wanted, mark: HeldKeys): boolean {
  return wanted.mode === 'exclusive' || mark.mode === 'exclusive';
}

function facetsAgainst(mode: LockMode): ('x' | 's')[] {
  return mode === 'exclusive'
    ? [placeFacet('exclusive'), placeFacet('shared')]
    : [placeFacet('exclusive')];
}

/** What stands before a place in its queue, at one revision. */
export interface Ahead {
  readonly revision: number;
  /** Null when the place is gone: its lease ended, or it was taken out. */
  readonly place: Entry | null;
  /** The held mark of the place, when it was granted. */
  readonly mark: Entry | null;
  /** The youngest conflicting place that is older, else a conflicting mark, else null: it is this place's turn. */
  readonly inTheWay: Entry | null;
}

/**
 * Reads all of it in one commit of reads.
 *
 * @param upgrading  the queue is passed over: only other holders' marks are in the way
 */
export async function readAhead(
  engine: Engine,
  wanted: Wanted,
  keys: {
    readonly place: ByteString;
    readonly mark: ByteString;
    readonly created: number;
    readonly own?: ByteString;
  },
  upgrading: boolean,
): Promise<Ahead> {
  const older = {
    orderBy: 'create',
    descending: true,
    maxCreateRevision: keys.created - 1,
    limit: 1,
  } as const;
  const places = upgrading ? [] : conflictingPlaces(wanted);
  const marks = markRanges(wanted);
  const reads: ReadOperation[] = [{ key: keys.place }, { key: keys.mark }].map(asRead);
  for (const range of places) reads.push({ type: 'read', ...range, ...older, uncounted: true });
  for (const range of marks) reads.push({ type: 'read', ...range, uncounted: true });
  const { revision, results } = await engine.commit({ apply: reads });
  const entries = results.map(entriesOf);
  const blockers = entries.slice(2, 2 + places.length).flat();
  const holders = entries
    .slice(2 + places.length)
    .flat()
    .filter((entry) => {
      if (entry.key === keys.mark || entry.key === keys.own) return false;
      return markConflicts(wanted, parseMark(entry.key));
    });
  return {
    revision,
    place: entries[0]?.[0] ?? null,
    mark: entries[1]?.[0] ?? null,
    inTheWay: youngest(blockers) ?? youngest(holders),
  };
}

export function asRead(range: KeyRange): ReadOperation {
  return { type: 'read', ...range };
}

export function entriesOf(result: OperationResult): readonly Entry[] {
  return result.type === 'read' ? result.reading.entries : [];
}

function youngest(entries: readonly Entry[]): Entry | null {
  let found: Entry | null = null;
  for (const entry of entries) {
    if (found === null || entry.createRevision > found.createRevision) found = entry;
  }
  return found;
}
