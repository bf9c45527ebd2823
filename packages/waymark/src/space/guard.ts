import type { ByteString, Check, KeyRange, Operation, Txn } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { below, exactly, treesAt } from './layout.js';
import { ancestorsOf, pathToBytes } from './paths.js';

/**
 * The write guard: a write under someone else's held lock is refused, checked in the same commit as the write. A write to a path is
 * covered by tree marks on its ancestors and by any mark on the path itself; the deletion of everything below a path, by all marks
 * below as well. Where the writer holds exclusively, the mark there must be its own, by token; elsewhere there must be none.
 */

/** What a transaction writes, in paths. */
export interface Written {
  readonly path: ByteString;
  /** Everything below the path, instead of the path itself. */
  readonly descendants: boolean;
}

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

/** @throws {WaymarkError} `denied` for keys outside the data facet, `invalid` for ranges that are no path's */
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
  const above = ancestorsOf(target.path);
  if (target.descendants) above.push(target.path);
  const cover = above.map((path) => holds.get(path)).find((hold) => hold?.tree === true);
  // Nobody else can hold anything that covers the target while this hold stands: it is all there is to check.
  if (cover !== undefined) return add(exactly('h', pathToBytes(cover.path)), cover);
  const own = target.descendants ? undefined : holds.get(target.path);
  if (own !== undefined) return add(exactly('h', target.path), own);
  for (const path of above) add(treesAt('h', path));
  if (target.descendants) addBelow(target.path, holds, add);
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
    written.set(key, { path: key.slice(1), descendants: false });
    return;
  }
  const path = key.slice(1, -1);
  if (!key.endsWith('/') || end !== `d${path}0`) {
    throw new WaymarkError('invalid', 'a guarded delete takes one path, or everything below one');
  }
  written.set(key, { path, descendants: true });
}

function refuseOutsideData(key: ByteString): void {
  if (key[0] === 'd' && (key.length === 1 || key[1] === '/')) return;
  throw new WaymarkError(
    'denied',
    'only the data of a namespace can be written; recipes keep the rest',
  );
}
