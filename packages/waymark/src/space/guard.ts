import type { ByteString, Check, KeyRange, Operation, Txn } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { below, exactly, treesAt } from './layout.js';
import { ancestorsOf, pathToBytes } from './paths.js';

/**
 * The write guard: a write under someone else's held lock is refused, checked in the same commit as the write. A write to a path is
 * covered by tree marks on its ancestors and by any mark on the path itself; the deletion of everything below a path, by all marks
 * below as well; that of any other range, by the marks in it and by the trees that reach into it. Where the writer holds exclusively, the
 * mark there must be its own, by token; elsewhere there must be none.
 */

/** What a transaction writes: a path, everything below a path, or everything from there up to `end`, the end of a range of the data facet. */
export type Written =
  | { readonly what: 'path' | 'descendants'; readonly path: ByteString }
  | { readonly what: 'range'; readonly path: ByteString; readonly end: ByteString };

/** One thing the guard insists on: marks in a range are absent, or are the writer's own. */
export interface Demand {
  readonly range: KeyRange;
  /** The token of the writer's own exclusive hold here; undefined: no mark at all. */
  readonly token: number | undefined;
  readonly hold: HoldProof | undefined;
}

/** Whether it writes anything. @throws {WaymarkError} as `writtenBy` */
export function writes(txn: Txn): boolean {
  const only = txn.otherwise === undefined && txn.apply?.length === 1 ? txn.apply[0] : undefined;
  if (only?.type !== 'put') return writtenBy(txn).length > 0;
  refuseOutsideData(only.key);
  return true;
}

/** @throws {WaymarkError} `denied` for keys outside the data facet */
export function writtenBy(txn: Txn): readonly Written[] {
  const written = new Map<ByteString, Written>();
  collect(txn, written);
  return [...written.values()];
}

/** @param holds  exclusive holds of the writer, with `tree` known */
export function demandsOf(written: readonly Written[], holds: readonly HoldProof[]): Demand[] {
  const byPath = new Map(holds.map((hold) => [pathToBytes(hold.path), hold]));
  const demands = new Map<ByteString, Demand>();
  const add = (range: KeyRange, hold?: HoldProof): void => {
    const known = demands.get(range.key + (range.end ?? ''));
    if (known === undefined) {
      demands.set(range.key + (range.end ?? ''), { range, token: hold?.token, hold });
    }
  };
  for (const target of written) addDemands(target, byPath, add);
  return [...demands.values()];
}

export function checkOf({ range, token }: Demand): Check {
  const { key, end } = range;
  if (token === undefined) return { key, end, target: 'version', is: '=', to: 0 };
  return { key, end, target: 'create', is: '=', to: token };
}

type Add = (range: KeyRange, hold?: HoldProof) => void;

function addDemands(target: Written, holds: ReadonlyMap<ByteString, HoldProof>, add: Add): void {
  if (target.what === 'range') return addRange(target, add);
  const above = ancestorsOf(target.path);
  const descendants = target.what === 'descendants';
  if (descendants) above.push(target.path);
  const cover = above.map((path) => holds.get(path)).find((hold) => hold?.tree === true);
  // Nobody else can hold anything that covers the target while this hold stands: it is all there is to check.
  if (cover !== undefined) return add(exactly('h', pathToBytes(cover.path)), cover);
  const own = descendants ? undefined : holds.get(target.path);
  if (own !== undefined) return add(exactly('h', target.path), own);
  for (const path of above) add(treesAt('h', path));
  if (descendants) addBelow(target.path, holds, add);
  else add(exactly('h', target.path));
}

/** Nothing is held below the path but what the writer holds: the range is cut at each of its own marks. */
function addBelow(path: ByteString, holds: ReadonlyMap<ByteString, HoldProof>, add: Add): void {
  const all = below('h', path);
  const end = all.end as ByteString;
  let from = all.key;
  const own = [...holds.keys()].filter((held) => held.startsWith(`${path}/`));
  for (const held of own.map((p) => ({ p, key: exactly('h', p).key })).sort(byKey)) {
    if (from < held.key) add({ key: from, end: held.key });
    add(exactly('h', held.p), holds.get(held.p));
    from = exactly('h', held.p).end as ByteString;
  }
  if (from < end) add({ key: from, end });
}

/** Whatever its writer holds: only callers who name keys, and hold nothing, delete such ranges. */
function addRange({ path, end }: { path: ByteString; end: ByteString }, add: Add): void {
  for (let at = 0; at < path.length; at++) {
    // The tree of a path that this one begins with lies behind it, unless it goes on with what sorts behind the slash.
    const above = path.slice(0, at);
    if ((path[at] as string) <= '/' && `d${above}/` < end) add(treesAt('h', above));
  }
  add({ key: `h${path}`, end: end === 'e' ? 'i' : `h${end.slice(1)}` });
}

function byKey(a: { key: ByteString }, b: { key: ByteString }): number {
  return a.key < b.key ? -1 : 1;
}

function collect(txn: Txn, written: Map<ByteString, Written>): void {
  for (const branch of [txn.apply, txn.otherwise]) {
    for (const operation of branch ?? []) {
      if (operation.type === 'txn') collect(operation.txn, written);
      else if (operation.type !== 'read') note(operation, written);
    }
  }
}

function note(
  operation: Exclude<Operation, { type: 'read' | 'txn' }>,
  written: Map<ByteString, Written>,
): void {
  const { key } = operation;
  refuseOutsideData(key);
  const end = operation.type === 'delete' ? operation.end : undefined;
  if (end === undefined) {
    written.set(key, { what: 'path', path: key.slice(1) });
    return;
  }
  const path = key.slice(1, -1);
  if (key.endsWith('/') && end === `d${path}0`) {
    written.set(key, { what: 'descendants', path });
    return;
  }
  if (end === '' || end > 'e') throw outsideData();
  written.set(`${key}\0${end}`, { what: 'range', path: key.slice(1), end });
}

function refuseOutsideData(key: ByteString): void {
  if (key[0] !== 'd') throw outsideData();
}

function outsideData(): WaymarkError {
  const text = 'only the data of a namespace can be written; recipes keep the rest';
  return new WaymarkError('denied', text);
}
