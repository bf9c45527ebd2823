import {
  type Batch,
  type ByteString,
  bytesToText,
  type Change,
  type KeyRange,
  namespacePrefix,
} from 'waymark/engine';
import type { LaneEvent } from './lane.js';
import { indexOf } from './sequence.js';

/** `d` */
const dataFacet = 0x64;

/** The data of a namespace: what watchers are told of. */
export function dataRange(namespace: string): KeyRange {
  const prefix = namespacePrefix(namespace);
  return { key: `${prefix}d`, end: `${prefix}e` };
}

/** A change of data with its place, before it is known whom it concerns. */
export type PlacedChange = Omit<LaneEvent, 'watchers'>;

const none: readonly Change[] = [];

/** Goes through a batch revision by revision, as long as `each` says so: the registry's changes, and those of data in the order of keys. @returns false when it did not to the end */
export function eachRevision(
  { changes }: Batch,
  each: (revision: number, registry: readonly Change[], data: readonly Change[]) => boolean,
): boolean {
  for (let from = 0; from < changes.length;) {
    const revision = (changes[from] as Change).entry.modRevision;
    let to = from + 1;
    while (to < changes.length && changes[to]?.entry.modRevision === revision) to += 1;
    const own = to - from === changes.length ? changes : changes.slice(from, to);
    from = to;
    const goOn = own.length === 1 ? eachOne(revision, own, each) : eachOf(revision, own, each);
    if (!goOn) return false;
  }
  return true;
}

type EachRevision = Parameters<typeof eachRevision>[1];

function eachOne(revision: number, own: readonly Change[], each: EachRevision): boolean {
  const ours = own[0]?.entry.key.startsWith('r/') === true;
  return ours ? each(revision, own, none) : each(revision, none, own);
}

function eachOf(revision: number, own: readonly Change[], each: EachRevision): boolean {
  const registry = own.filter(({ entry }) => entry.key.startsWith('r/'));
  const data = own.filter(({ entry }) => entry.key.startsWith('n/')).toSorted(byKey);
  return each(revision, registry, data);
}

/** The prefix of the key looked at last, and what it means: neighbours are mostly of one namespace. */
let known = { prefix: '?', namespace: '' };

/**
 * Changes of data with whom they concern, and their place among the namespace's changes of their revision. The place is told by the rank in the order of keys, which every watch
 * sees the same.
 *
 * @param matching  given the path as bytes; null where a change concerns nobody
 */
export function placed<M>(
  data: readonly Change[],
  matching: (namespace: string, path: ByteString, revision: number) => M | null,
  each: (change: PlacedChange, matched: M) => void,
): void {
  let [rank, namespace] = [0, ''];
  for (const { kind, entry } of data) {
    const { key, value, modRevision: revision } = entry;
    if (!key.startsWith(known.prefix)) {
      const slash = key.indexOf('/', 2);
      const prefix = key.slice(0, slash + 1);
      known = { prefix, namespace: bytesToText(prefix.slice(2, -1)) };
    }
    const { length: facet } = known.prefix;
    if (key.charCodeAt(facet) !== dataFacet) continue;
    if (known.namespace !== namespace) [rank, namespace] = [0, known.namespace];
    const bytes = key.length === facet + 1 ? '/' : key.slice(facet + 1);
    const matched = matching(namespace, bytes, revision);
    if (matched !== null) {
      const position = { revision, index: indexOf(namespace, rank) };
      each({ position, kind, namespace, path: bytesToText(bytes), value }, matched);
    }
    rank += 1;
  }
}

/** Of a key after its facet. What is no path is told as the text it is. */
export function pathOf(rest: string): string {
  return rest === '' ? '/' : bytesToText(rest);
}

function byKey(a: Change, b: Change): number {
  return a.entry.key < b.entry.key ? -1 : 1;
}
