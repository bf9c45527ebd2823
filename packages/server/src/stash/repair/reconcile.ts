import { WaymarkError } from 'waymark/engine';
import {
  answerBytesMax,
  isNewer,
  type NodePage,
  Packer,
  type PeerPage,
  type StashFinding,
  type StashPeer,
  Unpacker,
} from 'waymark/stash';
import type { StashStore } from '../store.js';

export interface ReconcileParts {
  readonly store: StashStore;
  readonly peer: StashPeer;
  readonly epoch: number;
  /** This node is being filled: what it held before counts for nothing where the peer has purged. Default false. */
  readonly fresh?: boolean | undefined;
  /** Waits as long as so many bytes should take. */
  readonly pace: (bytes: number) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Entries that were written. */
export interface Reconciled {
  readonly fetched: number;
  readonly pushed: number;
  /** Full keys whose records are damaged here, and of which the peer has nothing. */
  readonly orphans: readonly string[];
}

/** A part is sent when it has so much: with its last value it is below what a part may have. */
const partBytes = answerBytesMax / 2;

/**
 * Brings a partition of this node and of a peer to the same (rule D5.3): both sides' versions are merged in the order of their keys, page by page; what is newer there is
 * fetched, what is newer here is pushed, and a damaged record is replaced by the other side's.
 *
 * @throws {WaymarkError} `conflict` when tombstones were purged meanwhile, or on a side that has not agreed to it
 */
export async function reconcile(partition: number, parts: ReconcileParts): Promise<Reconciled> {
  const { store, peer, epoch, signal, pace } = parts;
  const { partitions } = store;
  const options = { signal };
  const ask = { epoch, partition };
  let [fetched, pushed] = [0, 0];
  const orphans: string[] = [];
  let page = await leveled(partition, parts);
  const purged = partitions.purged(partition);
  for (let after = ''; ;) {
    checkLevel(page, purged, partitions.purged(partition));
    // Read after the other one: what was written meanwhile is here, and pushed once more at worst.
    const own = partitions.versions(partition, bytesOf(after));
    const found = merged(itemsOf(own), itemsOf(page), parts.fresh ? purged : 0);
    const { fetch, push, end, stale } = found;
    orphans.push(...found.orphans);
    if (stale.length > 0) await partitions.discard(partition, stale, purged);
    await pace(own.entries.length + page.entries.length);
    fetched += await transfer(fetch, {
      from: (keys) => peer.fetch({ ...ask, keys }, options),
      into: (entries) => partitions.mend(partition, entries),
      pace,
    });
    pushed += await transfer(push, {
      from: async (keys) => partitions.fetch(partition, keys),
      into: (entries) => peer.mend({ ...ask, purged, entries }, options),
      pace,
    });
    if (end === null) return { fetched, pushed, orphans };
    after = end;
    page = await peer.versions({ ...ask, after: bytesOf(after) }, options);
  }
}

/** Tombstones that all replicas had go on both sides, before what they deleted could seem to be missing. @returns the peer's first page */
async function leveled(partition: number, parts: ReconcileParts): Promise<PeerPage> {
  const { store, peer, epoch, signal } = parts;
  const ask = { epoch, partition };
  const first = { ...ask, after: new Uint8Array(0) };
  const page = await peer.versions(first, { signal });
  const purged = store.partitions.purged(partition);
  if (page.purged > purged) {
    const { purged: told } = page;
    if (parts.fresh) await store.partitions.adopt([{ partition, sealed: told, purged: told }]);
    else await store.partitions.purge(partition, page.purged);
  }
  if (page.purged >= purged) return page;
  await peer.purge({ ...ask, upTo: purged }, { signal });
  return await peer.versions(first, { signal });
}

function checkLevel({ purged }: PeerPage, before: number, now: number): void {
  if (purged === before && now === before) return;
  throw new WaymarkError('conflict', 'tombstones were purged meanwhile: compare again');
}

interface Items {
  readonly items: readonly (readonly [key: string, found: StashFinding])[];
  readonly more: boolean;
}

function itemsOf({ entries, more }: NodePage): Items {
  const items: [string, StashFinding][] = [];
  const unpacker = new Unpacker(entries);
  while (!unpacker.done) items.push([unpacker.key(), unpacker.finding()]);
  return { items, more };
}

interface Merged {
  readonly fetch: readonly string[];
  readonly push: readonly string[];
  /** Here alone, and purged there. */
  readonly stale: readonly string[];
  readonly orphans: readonly string[];
  /** Up to here both sides were compared; null: all. */
  readonly end: string | null;
}

/** Two pages that begin behind the same key: compared up to where the shorter one ends. */
function merged(own: Items, other: Items, staleUpTo: number): Merged {
  const ends = [own, other].filter(({ more }) => more).map(({ items }) => items.at(-1)?.[0] ?? '');
  const end = ends.length === 0 ? null : ends.reduce((a, b) => (a < b ? a : b));
  const theirs = new Map(other.items);
  const fetch: string[] = [];
  const push: string[] = [];
  const stale: string[] = [];
  const orphans: string[] = [];
  for (const [key, found] of own.items) {
    if (end !== null && key > end) break;
    const there = theirs.get(key) ?? null;
    theirs.delete(key);
    if (isBetter(there, found)) fetch.push(key);
    else if (there === null && found === 'damaged') orphans.push(key);
    else if (there === null && isUpTo(found, staleUpTo)) stale.push(key);
    else if (isBetter(found, there)) push.push(key);
  }
  for (const [key, found] of theirs) {
    if ((end === null || key <= end) && isBetter(found, null)) fetch.push(key);
  }
  return { fetch, push, stale, orphans, end };
}

function isBetter(a: StashFinding, b: StashFinding): boolean {
  if (a === null || a === 'damaged') return false;
  return b === null || b === 'damaged' || isNewer(a, b);
}

function isUpTo(found: StashFinding, stamp: number): boolean {
  return found !== null && found !== 'damaged' && found.stamp <= stamp;
}

/** Takes what one side has of some full keys to the other. @returns entries that were moved */
export async function transfer(
  keys: readonly string[],
  way: {
    readonly from: (keys: Uint8Array) => Promise<Uint8Array>;
    readonly into: (entries: Uint8Array) => Promise<void>;
    readonly pace: (bytes: number) => Promise<void>;
  },
): Promise<number> {
  let moved = 0;
  for (let at = 0; at < keys.length;) {
    const asked = new Packer();
    for (const key of keys.slice(at)) asked.key(key);
    const found = new Unpacker(await way.from(asked.take()));
    const before = at;
    for (let part = new Packer(); !found.done; part = new Packer()) {
      while (!found.done && part.bytes < partBytes) {
        const key = keys[at++] as string;
        const finding = found.finding();
        if (finding !== null && finding !== 'damaged') part.entry(key, finding);
      }
      const { bytes, count } = part;
      if (count === 0) continue;
      await way.into(part.take());
      moved += count;
      await way.pace(bytes);
    }
    if (at === before) throw new WaymarkError('invalid', 'a node answered with nothing');
  }
  return moved;
}

function bytesOf(key: string): Uint8Array {
  return Buffer.from(key, 'latin1');
}
