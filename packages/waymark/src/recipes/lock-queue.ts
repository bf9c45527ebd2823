import type { ByteString, Entry, OperationResult } from '../core/engine.js';
import { bytesToText, ownBytes, textToBytes } from '../core/bytes.js';
import { parseMark } from '../space/layout.js';
import type { LockPlan, RequestKeys } from './lock-plan.js';

export interface Party {
  readonly session: string;
  readonly owner: string;
  /** What it says of itself. */
  readonly says?: ByteString | undefined;
}

let last = { session: '', owner: '', value: '' };

/** A session asks for many locks: while it is the same one, all of them keep one string. */
export function encodeParty({ session, owner, says }: Party): ByteString {
  if (session !== last.session || owner !== last.owner) {
    last = { session, owner, value: ownBytes(`${session}\n${textToBytes(owner)}`) };
  }
  return says === undefined ? last.value : `${last.value}\0${says}`;
}

/** A place that waits for an upgrade has a `^` in front. */
export function decodeParty(value: ByteString): Party {
  const newline = value.indexOf('\n');
  const start = value.startsWith('^') ? 1 : 0;
  const nul = value.indexOf('\0', newline);
  const session = value.slice(start, newline);
  const owner = bytesToText(nul < 0 ? value.slice(newline + 1) : value.slice(newline + 1, nul));
  return nul < 0 ? { session, owner } : { session, owner, says: value.slice(nul + 1) };
}

/** What stands before a request, at one revision. */
export interface Ahead {
  readonly revision: number;
  /** The youngest conflicting place that is older, else a conflicting mark, else null: it is this place's turn. */
  readonly inTheWay: Entry | null;
  /** Conflicting marks: whoever of them is the one to wait for. */
  readonly holders: readonly Entry[];
}

/**
 * @param results  of the plan's `reads`, or its `markReads` for an upgrade, which passes the queue over
 * @param own  marks that are the request's own
 */
export function aheadOf(
  plan: LockPlan,
  results: readonly OperationResult[],
  revision: number,
  own: readonly ByteString[],
): Ahead {
  const marks = results.slice(-plan.marks.length).flatMap(entriesOf);
  const places = results.slice(0, -plan.marks.length).flatMap(entriesOf);
  const holders = marks.filter(({ key }) => !own.includes(key) && conflicts(plan, key));
  return { revision, inTheWay: youngest(places) ?? youngest(holders), holders };
}

/** Whether a mark found at the plan's marks conflicts. */
export function conflicts({ prefix, wanted }: LockPlan, mark: ByteString): boolean {
  return wanted.mode === 'exclusive' || parseMark(mark.slice(prefix.length)).mode === 'exclusive';
}

/** The keys of a request and what they hold: the place is null when its lease ended or it was taken out, the mark until it is granted. */
export function standing(results: readonly OperationResult[]): {
  readonly place: Entry | null;
  readonly mark: Entry | null;
} {
  const [place, mark] = results;
  return {
    place: (place && entriesOf(place)[0]) ?? null,
    mark: (mark && entriesOf(mark)[0]) ?? null,
  };
}

export function readsOf(keys: RequestKeys): { readonly type: 'read'; readonly key: ByteString }[] {
  return [
    { type: 'read', key: keys.place },
    { type: 'read', key: keys.mark },
  ];
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
