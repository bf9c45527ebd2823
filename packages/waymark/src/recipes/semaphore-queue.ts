import type { ByteString, Entry, ReadOperation } from '../core/engine.js';
import { permitKey, permitLimitKey, permitRange } from '../space/layout.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { decodeParty, encodeParty, type Party } from './lock-queue.js';

/**
 * Who holds is a function of the queue and the limit alone. Requests stand in the order of their createRevision, and a request holds when
 * the weights of all older places and its own add up to at most the limit. Older places can only vanish, so what holds goes on holding,
 * and those who hold are the oldest ones. A resize could break the first: so it notes up to which place permits were held, and those
 * hold whatever the limit is now.
 */
export interface StoredLimit {
  readonly limit: number;
  /** Places created up to here hold. */
  readonly heldThrough: number;
  /** Of its last write. */
  readonly revision: number;
}

export function encodeLimit({ limit, heldThrough }: Omit<StoredLimit, 'revision'>): ByteString {
  return `${limit} ${heldThrough}`;
}

export function decodeLimit(entry: Entry | undefined): StoredLimit | null {
  if (entry === undefined) return null;
  const [limit, heldThrough] = entry.value.split(' ').map(Number) as [number, number];
  return { limit, heldThrough, revision: entry.modRevision };
}

/** Written anew with `waited` when its turn has come: that wakes who is behind it. */
export interface PlaceFacts extends Party {
  readonly weight: number;
  readonly waited: boolean;
}

export function encodePlace(facts: PlaceFacts): ByteString {
  return `${facts.waited ? '+' : '-'}${facts.weight} ${encodeParty(facts)}`;
}

export function decodePlace(value: ByteString): PlaceFacts {
  const space = value.indexOf(' ');
  const party = decodeParty(value.slice(space + 1));
  return { ...party, weight: weightOf(value), waited: value.startsWith('+') };
}

function weightOf(value: ByteString): number {
  return Number(value.slice(1, value.indexOf(' ')));
}

/** The keys of a request. */
export interface PermitKeys {
  readonly place: ByteString;
  readonly limit: ByteString;
  readonly range: { readonly key: ByteString; readonly end?: ByteString | undefined };
}

/** @throws {WaymarkError} `invalid`, `too_large` for what is no canonical path */
export function permitKeys(path: string, id: string): PermitKeys {
  checkCanonical(path);
  const bytes = pathToBytes(path);
  return {
    place: permitKey(bytes, id),
    limit: permitLimitKey(bytes),
    range: permitRange(bytes),
  };
}

/** Reads the queue, or the part of it that is older. */
export function queueRead({ range }: PermitKeys, olderThan?: number): ReadOperation {
  const maxCreateRevision = olderThan === undefined ? undefined : olderThan - 1;
  return { type: 'read', ...range, orderBy: 'create', uncounted: true, maxCreateRevision };
}

/** What stands before a request. */
export interface Ahead {
  /** The keys that hold, oldest first, with their weights. */
  readonly held: Map<ByteString, number>;
  /** What they add up to. */
  readonly used: number;
  /** The youngest place, where it waits; null: the request is the first in line. */
  readonly before: ByteString | null;
}

/** @param queue  in the order of creation */
export function aheadIn(queue: readonly Entry[], { limit, heldThrough }: StoredLimit): Ahead {
  const held = new Map<ByteString, number>();
  let used = 0;
  for (const { key, value, createRevision } of queue) {
    const weight = weightOf(value);
    if (createRevision > heldThrough && used + weight > limit) break;
    held.set(key, weight);
    used += weight;
  }
  const before = held.size === queue.length ? null : (queue.at(-1)?.key ?? null);
  return { held, used, before };
}
