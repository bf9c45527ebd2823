import type { ByteString, Entry, KeyRange } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { NamespacePlace } from './namespace.js';
import { bytesToPath, pathToBytes, resolvePath } from './paths.js';
import type { ListCall, Page } from './types.js';

const pageMax = 1_000;

/** What stands for one path, facet by facet. */
export interface FacetEntries {
  readonly path: string;
  readonly of: ReadonlyMap<ByteString, Entry>;
}

/**
 * What some facets keep for a path and for all below it, at one revision, in the order of paths, a page at a time. Each facet keeps at most
 * one entry for a path. Read range by range, as an answer to a read may end early where values are large.
 *
 * @throws {WaymarkError} `invalid` for a limit beyond 1 to 1 000
 */
export async function facetPage(
  { space, host, name }: NamespacePlace,
  path: string,
  facets: readonly ByteString[],
  call: ListCall,
): Promise<Page<FacetEntries>> {
  space.checkOpen();
  const limit = limitOf(call);
  const ranges = facets.flatMap((facet) => rangesOf(facet, path, call.after));
  const found = new Map<ByteString, Map<ByteString, Entry>>();
  let revision = call.at;
  // The last path of which all facets are known, where an answer had no room for more.
  let known: ByteString | null = null;
  for (const { facet, keys } of ranges) {
    // One more than is wanted of each: so the first of all of them together are known.
    const query = { ...keys, limit: limit + 1, uncounted: true, at: revision };
    const reading = await host.read(name, query, { signal: call.signal });
    revision ??= reading.revision;
    let last: ByteString = '';
    for (const entry of reading.entries) {
      [last = ''] = entry.key.slice(facet.length).split('\0', 1);
      const of = found.get(last) ?? new Map<ByteString, Entry>();
      found.set(last, of.set(facet, entry));
    }
    if (reading.more && (known === null || last < known)) known = last;
  }
  // Where nothing is left to read.
  revision ??= (await host.read(name, { key: 'd', countOnly: true }, { signal: call.signal }))
    .revision;
  const all = [...found].filter(([bytes]) => known === null || bytes <= known);
  all.sort(([a], [b]) => (a < b ? -1 : 1));
  const entries = all.slice(0, limit).map(([bytes, of]) => ({ path: bytesToPath(bytes), of }));
  const more = all.length > limit || all.length < found.size;
  return { entries, more: more || known !== null, revision };
}

interface FacetRange {
  readonly facet: ByteString;
  readonly keys: KeyRange;
}

/** The path itself and what is below it, each key with or without a tail after a NUL. */
function rangesOf(facet: ByteString, path: string, after: string | undefined): FacetRange[] {
  const at = facet + pathToBytes(path);
  const from = after === undefined ? '' : `${facet + pathToBytes(resolvePath(path, after))}\x01`;
  const ranges = [
    { key: at, end: `${at}\x01` },
    { key: `${at}/`, end: `${at}0` },
  ];
  return ranges
    .map(({ key, end }) => ({ facet, keys: { key: key < from ? from : key, end } }))
    .filter(({ keys }) => keys.key < keys.end);
}

export function limitOf({ limit = pageMax }: ListCall): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= pageMax) return limit;
  throw new WaymarkError(
    'invalid',
    `limit is a whole number from 1 to ${pageMax}, not ${String(limit)}`,
  );
}
