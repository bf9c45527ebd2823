import type { Entry, LeaseId, OperationResult, ReadOperation } from '../core/engine.js';
import { bytesToText } from '../core/bytes.js';
import {
  formerRange,
  listKey,
  membersRange,
  ownerKey,
  parsePosition,
} from '../space/names-layout.js';
import { entriesOf } from './lock-queue.js';
import type { NamePool } from './names-pool.js';

/** What a claim goes by: read at one revision, or guessed from what the host remembers. */
export interface Look {
  /** Null for a guess. */
  readonly revision: number | null;
  readonly list: string | null;
  readonly listRevision: number;
  readonly taken: ReadonlySet<number>;
  /** By position. Of a guess: none. */
  readonly claims: ReadonlyMap<number, Entry>;
  readonly waiters: readonly Entry[];
  /** What this owner has under this lease. */
  readonly own: Entry | null;
  /** What is kept for this owner. */
  readonly former: Entry | null;
}

export interface Whose {
  readonly path: string;
  readonly owner: string;
  readonly lease: LeaseId;
}

export function readsFor({ path, owner, lease }: Whose): ReadOperation[] {
  return [
    { type: 'read', ...membersRange(path) },
    { type: 'read', key: ownerKey(path, owner, lease) },
    { type: 'read', ...formerRange(path, owner) },
  ];
}

/** @param results  of `readsFor`. The pool remembers it. */
export function lookOf(
  pool: NamePool,
  path: string,
  results: readonly OperationResult[],
  revision: number,
): Look {
  const [members = [], [own] = [], [former] = []] = results.map(entriesOf);
  const list = members.find(({ key }) => key === listKey(path));
  const taken = new Set<number>();
  const claims = new Map<number, Entry>();
  const waiters: Entry[] = [];
  for (const entry of members) {
    const at = parsePosition(path, entry.key);
    if (at === null) {
      if (entry !== list) waiters.push(entry);
      continue;
    }
    taken.add(at.position);
    if (at.claimed) claims.set(at.position, entry);
  }
  pool.list = list === undefined ? null : bytesToText(list.value);
  pool.listRevision = list?.modRevision ?? 0;
  pool.taken = taken;
  const { listRevision } = pool;
  const mine = { own: own ?? null, former: former ?? null };
  return { revision, list: pool.list, listRevision, taken, claims, waiters, ...mine };
}

export function guessOf({ list, listRevision, taken }: NamePool): Look {
  const nothing = { claims: new Map(), waiters: [], own: null, former: null };
  return { revision: null, list, listRevision, taken, ...nothing };
}
